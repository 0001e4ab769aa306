"""The sources that a report can cite: of the techniques, the data sets and the statistics."""

from __future__ import annotations

from ablation.report.reference import Reference


def _article(authors: str, title: str, where: str, year: int, more: str = "") -> Reference:
    return Reference("article", authors, title, where, year, more)


def _talk(authors: str, title: str, where: str, year: int, more: str = "") -> Reference:
    return Reference("inproceedings", authors, title, where, year, more)


def _arxiv(authors: str, title: str, number: str, year: int) -> Reference:
    return Reference("misc", authors, title, f"arXiv:{number}", year)


_NIPS = "Advances in Neural Information Processing Systems"
_ICML = "International Conference on Machine Learning"
_ICLR = "International Conference on Learning Representations"
_CVPR = "IEEE Conference on Computer Vision and Pattern Recognition"
_AISTATS = "International Conference on Artificial Intelligence and Statistics"
_JASA = "Journal of the American Statistical Association"
_HE = "Kaiming He and Xiangyu Zhang and Shaoqing Ren and Jian Sun"

REFERENCES: dict[str, Reference] = {
    "alpaydin1998": Reference(
        "misc",
        "Ethem Alpaydin and Cenk Kaynak",
        "Optical Recognition of Handwritten Digits",
        "UCI Machine Learning Repository",
        1998,
    ),
    "araujo2019": _article(
        "Andr\u00e9 Araujo and Wade Norris and Jack Sim",
        "Computing Receptive Fields of Convolutional Neural Networks",
        "Distill",
        2019,
    ),
    "ba2016": _arxiv(
        "Jimmy Lei Ba and Jamie Ryan Kiros and Geoffrey E. Hinton", "Layer Normalization", "1607.06450", 2016
    ),
    "bengio2012": _talk(
        "Yoshua Bengio",
        "Practical Recommendations for Gradient-Based Training of Deep Architectures",
        "Neural Networks: Tricks of the Trade, Springer",
        2012,
        "437\u2013478",
    ),
    "bishop1995": _article(
        "Chris M. Bishop",
        "Training with Noise is Equivalent to Tikhonov Regularization",
        "Neural Computation",
        1995,
        "7, 108\u2013116",
    ),
    "boureau2010": _talk(
        "Y-Lan Boureau and Jean Ponce and Yann LeCun",
        "A Theoretical Analysis of Feature Pooling in Visual Recognition",
        _ICML,
        2010,
        "111\u2013118",
    ),
    "cochran1941": _article(
        "William G. Cochran",
        "The Distribution of the Largest of a Set of Estimated Variances as a Fraction of Their Total",
        "Annals of Eugenics",
        1941,
        "11, 47\u201352",
    ),
    "devries2017": _arxiv(
        "Terrance DeVries and Graham W. Taylor",
        "Improved Regularization of Convolutional Neural Networks with Cutout",
        "1708.04552",
        2017,
    ),
    "dumoulin2016": _arxiv(
        "Vincent Dumoulin and Francesco Visin",
        "A Guide to Convolution Arithmetic for Deep Learning",
        "1603.07285",
        2016,
    ),
    "dunnett1955": _article(
        "Charles W. Dunnett",
        "A Multiple Comparison Procedure for Comparing Several Treatments with a Control",
        _JASA,
        1955,
        "50, 1096\u20131121",
    ),
    "elfwing2018": _article(
        "Stefan Elfwing and Eiji Uchibe and Kenji Doya",
        "Sigmoid-Weighted Linear Units for Neural Network Function Approximation in Reinforcement Learning",
        "Neural Networks",
        2018,
        "107, 3\u201311",
    ),
    "fieller1954": _article(
        "Edgar C. Fieller",
        "Some Problems in Interval Estimation",
        "Journal of the Royal Statistical Society, Series B",
        1954,
        "16, 175\u2013185",
    ),
    "glorot2010": _talk(
        "Xavier Glorot and Yoshua Bengio",
        "Understanding the Difficulty of Training Deep Feedforward Neural Networks",
        _AISTATS,
        2010,
        "249\u2013256",
    ),
    "goyal2017": _arxiv(
        "Priya Goyal and Piotr Doll\u00e1r and Ross Girshick and Pieter Noordhuis and Lukasz Wesolowski and Aapo "
        "Kyrola and Andrew Tulloch and Yangqing Jia and Kaiming He",
        "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour",
        "1706.02677",
        2017,
    ),
    "he2015": _talk(
        _HE,
        "Delving Deep into Rectifiers: Surpassing Human-Level Performance on ImageNet Classification",
        "IEEE International Conference on Computer Vision",
        2015,
        "1026\u20131034",
    ),
    "he2016": _talk(_HE, "Deep Residual Learning for Image Recognition", _CVPR, 2016, "770\u2013778"),
    "hendrycks2016": _arxiv(
        "Dan Hendrycks and Kevin Gimpel", "Gaussian Error Linear Units (GELUs)", "1606.08415", 2016
    ),
    "hestness2017": _arxiv(
        "Joel Hestness and Sharan Narang and Newsha Ardalani and Gregory Diamos and Heewoo Jun and Hassan Kianinejad "
        "and Md. Mostofa Ali Patwary and Yang Yang and Yanqi Zhou",
        "Deep Learning Scaling is Predictable, Empirically",
        "1712.00409",
        2017,
    ),
    "holm1979": _article(
        "Sture Holm",
        "A Simple Sequentially Rejective Multiple Test Procedure",
        "Scandinavian Journal of Statistics",
        1979,
        "6, 65\u201370",
    ),
    "howard2013": _arxiv(
        "Andrew G. Howard",
        "Some Improvements on Deep Convolutional Neural Network Based Image Classification",
        "1312.5402",
        2013,
    ),
    "howard2018": _talk(
        "Jeremy Howard and Sebastian Ruder",
        "Universal Language Model Fine-tuning for Text Classification",
        "Annual Meeting of the Association for Computational Linguistics",
        2018,
        "328\u2013339",
    ),
    "ioffe2015": _talk(
        "Sergey Ioffe and Christian Szegedy",
        "Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift",
        _ICML,
        2015,
        "448\u2013456",
    ),
    "jennison1989": _article(
        "Christopher Jennison and Bruce W. Turnbull",
        "Interim Analyses: The Repeated Confidence Interval Approach",
        "Journal of the Royal Statistical Society, Series B",
        1989,
        "51, 305\u2013361",
    ),
    "kalamkar2019": _arxiv(
        "Dhiraj Kalamkar and others", "A Study of BFLOAT16 for Deep Learning Training", "1905.12322", 2019
    ),
    "kingma2015": _talk("Diederik P. Kingma and Jimmy Ba", "Adam: A Method for Stochastic Optimization", _ICLR, 2015),
    "kornblith2019": _talk(
        "Simon Kornblith and Jonathon Shlens and Quoc V. Le",
        "Do Better ImageNet Models Transfer Better?",
        _CVPR,
        2019,
        "2661\u20132671",
    ),
    "krizhevsky2009": Reference(
        "misc",
        "Alex Krizhevsky",
        "Learning Multiple Layers of Features from Tiny Images",
        "Technical report, University of Toronto",
        2009,
    ),
    "krizhevsky2012": _talk(
        "Alex Krizhevsky and Ilya Sutskever and Geoffrey E. Hinton",
        "ImageNet Classification with Deep Convolutional Neural Networks",
        _NIPS,
        2012,
        "25, 1097\u20131105",
    ),
    "krogh1992": _talk(
        "Anders Krogh and John A. Hertz",
        "A Simple Weight Decay Can Improve Generalization",
        _NIPS,
        1992,
        "4, 950\u2013957",
    ),
    "lan1983": _article(
        "K. K. Gordon Lan and David L. DeMets",
        "Discrete Sequential Boundaries for Clinical Trials",
        "Biometrika",
        1983,
        "70, 659\u2013663",
    ),
    "lecun1998": _article(
        "Yann LeCun and L\u00e9on Bottou and Yoshua Bengio and Patrick Haffner",
        "Gradient-Based Learning Applied to Document Recognition",
        "Proceedings of the IEEE",
        1998,
        "86, 2278\u20132324",
    ),
    "lee2015": _talk(
        "Chen-Yu Lee and Saining Xie and Patrick Gallagher and Zhengyou Zhang and Zhuowen Tu",
        "Deeply-Supervised Nets",
        _AISTATS,
        2015,
        "562\u2013570",
    ),
    "loshchilov2017": _talk(
        "Ilya Loshchilov and Frank Hutter",
        "SGDR: Stochastic Gradient Descent with Warm Restarts",
        _ICLR,
        2017,
    ),
    "loshchilov2019": _talk("Ilya Loshchilov and Frank Hutter", "Decoupled Weight Decay Regularization", _ICLR, 2019),
    "maas2013": _talk(
        "Andrew L. Maas and Awni Y. Hannun and Andrew Y. Ng",
        "Rectifier Nonlinearities Improve Neural Network Acoustic Models",
        "ICML Workshop on Deep Learning for Audio, Speech and Language Processing",
        2013,
    ),
    "masters2018": _arxiv(
        "Dominic Masters and Carlo Luschi",
        "Revisiting Small Batch Training for Deep Neural Networks",
        "1804.07612",
        2018,
    ),
    "mcnemar1947": _article(
        "Quinn McNemar",
        "Note on the Sampling Error of the Difference Between Correlated Proportions or Percentages",
        "Psychometrika",
        1947,
        "12, 153\u2013157",
    ),
    "micikevicius2018": _talk(
        "Paulius Micikevicius and Sharan Narang and Jonah Alben and Gregory Diamos and Erich Elsen and David Garcia "
        "and Boris Ginsburg and Michael Houston and Oleksii Kuchaiev and Ganesh Venkatesh and Hao Wu",
        "Mixed Precision Training",
        _ICLR,
        2018,
    ),
    "muller2019": _talk(
        "Rafael M\u00fcller and Simon Kornblith and Geoffrey E. Hinton",
        "When Does Label Smoothing Help?",
        _NIPS,
        2019,
        "32, 4694\u20134703",
    ),
    "nair2010": _talk(
        "Vinod Nair and Geoffrey E. Hinton",
        "Rectified Linear Units Improve Restricted Boltzmann Machines",
        _ICML,
        2010,
        "807\u2013814",
    ),
    "nesterov1983": _article(
        "Yurii Nesterov",
        "A Method of Solving a Convex Programming Problem with Convergence Rate O(1/k\u00b2)",
        "Soviet Mathematics Doklady",
        1983,
        "27, 372\u2013376",
    ),
    "page1963": _article(
        "Ellis B. Page",
        "Ordered Hypotheses for Multiple Treatments: A Significance Test for Linear Ranks",
        _JASA,
        1963,
        "58, 216\u2013230",
    ),
    "page2018": Reference("misc", "David Page", "How to Train Your ResNet", "Blog series, Myrtle.ai", 2018),
    "pascanu2013": _talk(
        "Razvan Pascanu and Tomas Mikolov and Yoshua Bengio",
        "On the Difficulty of Training Recurrent Neural Networks",
        _ICML,
        2013,
        "1310\u20131318",
    ),
    "paszke2019": _talk(
        "Adam Paszke and others",
        "PyTorch: An Imperative Style, High-Performance Deep Learning Library",
        _NIPS,
        2019,
        "32, 8024\u20138035",
    ),
    "polyak1964": _article(
        "Boris T. Polyak",
        "Some Methods of Speeding Up the Convergence of Iteration Methods",
        "USSR Computational Mathematics and Mathematical Physics",
        1964,
        "4, 1\u201317",
    ),
    "prechelt1998": _talk(
        "Lutz Prechelt",
        "Early Stopping \u2013 But When?",
        "Neural Networks: Tricks of the Trade, Springer",
        1998,
        "55\u201369",
    ),
    "robbins1951": _article(
        "Herbert Robbins and Sutton Monro",
        "A Stochastic Approximation Method",
        "The Annals of Mathematical Statistics",
        1951,
        "22, 400\u2013407",
    ),
    "rumelhart1986": _article(
        "David E. Rumelhart and Geoffrey E. Hinton and Ronald J. Williams",
        "Learning Representations by Back-propagating Errors",
        "Nature",
        1986,
        "323, 533\u2013536",
    ),
    "shapley1953": _talk(
        "Lloyd S. Shapley",
        "A Value for n-Person Games",
        "Contributions to the Theory of Games II, Princeton University Press",
        1953,
        "307\u2013317",
    ),
    "shorten2019": _article(
        "Connor Shorten and Taghi M. Khoshgoftaar",
        "A Survey on Image Data Augmentation for Deep Learning",
        "Journal of Big Data",
        2019,
        "6, 60",
    ),
    "sidak1967": _article(
        "Zbyn\u011bk \u0160id\u00e1k",
        "Rectangular Confidence Regions for the Means of Multivariate Normal Distributions",
        _JASA,
        1967,
        "62, 626\u2013633",
    ),
    "simonyan2015": _talk(
        "Karen Simonyan and Andrew Zisserman",
        "Very Deep Convolutional Networks for Large-Scale Image Recognition",
        _ICLR,
        2015,
    ),
    "smith2019": _talk(
        "Leslie N. Smith and Nicholay Topin",
        "Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates",
        "Artificial Intelligence and Machine Learning for Multi-Domain Operations Applications, SPIE",
        2019,
    ),
    "srivastava2014": _article(
        "Nitish Srivastava and Geoffrey Hinton and Alex Krizhevsky and Ilya Sutskever and Ruslan Salakhutdinov",
        "Dropout: A Simple Way to Prevent Neural Networks from Overfitting",
        "Journal of Machine Learning Research",
        2014,
        "15, 1929\u20131958",
    ),
    "sutskever2013": _talk(
        "Ilya Sutskever and James Martens and George Dahl and Geoffrey Hinton",
        "On the Importance of Initialization and Momentum in Deep Learning",
        _ICML,
        2013,
        "1139\u20131147",
    ),
    "szegedy2015": _talk(
        "Christian Szegedy and Wei Liu and Yangqing Jia and Pierre Sermanet and Scott Reed and Dragomir Anguelov and "
        "Dumitru Erhan and Vincent Vanhoucke and Andrew Rabinovich",
        "Going Deeper with Convolutions",
        _CVPR,
        2015,
        "1\u20139",
    ),
    "szegedy2016": _talk(
        "Christian Szegedy and Vincent Vanhoucke and Sergey Ioffe and Jon Shlens and Zbigniew Wojna",
        "Rethinking the Inception Architecture for Computer Vision",
        _CVPR,
        2016,
        "2818\u20132826",
    ),
    "tieleman2012": Reference(
        "misc",
        "Tijmen Tieleman and Geoffrey Hinton",
        "Lecture 6.5: RMSProp, Divide the Gradient by a Running Average of Its Recent Magnitude",
        "Coursera, Neural Networks for Machine Learning",
        2012,
    ),
    "touvron2019": _talk(
        "Hugo Touvron and Andrea Vedaldi and Matthijs Douze and Herv\u00e9 J\u00e9gou",
        "Fixing the Train-Test Resolution Discrepancy",
        _NIPS,
        2019,
        "32, 8250\u20138260",
    ),
    "ulyanov2016": _arxiv(
        "Dmitry Ulyanov and Andrea Vedaldi and Victor Lempitsky",
        "Instance Normalization: The Missing Ingredient for Fast Stylization",
        "1607.08022",
        2016,
    ),
    "wan2013": _talk(
        "Li Wan and Matthew Zeiler and Sixin Zhang and Yann LeCun and Rob Fergus",
        "Regularization of Neural Networks using DropConnect",
        _ICML,
        2013,
        "1058\u20131066",
    ),
    "whitehead1986": _article(
        "John Whitehead",
        "On the Bias of Maximum Likelihood Estimation Following a Sequential Test",
        "Biometrika",
        1986,
        "73, 573\u2013581",
    ),
    "wu2018": _talk(
        "Yuxin Wu and Kaiming He", "Group Normalization", "European Conference on Computer Vision", 2018, "3\u201319"
    ),
    "xiao2017": _arxiv(
        "Han Xiao and Kashif Rasul and Roland Vollgraf",
        "Fashion-MNIST: A Novel Image Dataset for Benchmarking Machine Learning Algorithms",
        "1708.07747",
        2017,
    ),
    "yosinski2014": _talk(
        "Jason Yosinski and Jeff Clune and Yoshua Bengio and Hod Lipson",
        "How Transferable are Features in Deep Neural Networks?",
        _NIPS,
        2014,
        "27, 3320\u20133328",
    ),
    "zagoruyko2016": _talk(
        "Sergey Zagoruyko and Nikos Komodakis",
        "Wide Residual Networks",
        "British Machine Vision Conference",
        2016,
    ),
    "zhang2018": _talk(
        "Hongyi Zhang and Moustapha Cisse and Yann N. Dauphin and David Lopez-Paz",
        "mixup: Beyond Empirical Risk Minimization",
        _ICLR,
        2018,
    ),
}

DATA_SETS = {
    "digits": "alpaydin1998",
    "mnist": "lecun1998",
    "fashion_mnist": "xiao2017",
    "cifar10": "krizhevsky2009",
    "cifar100": "krizhevsky2009",
}
"""Data set -> its source."""
