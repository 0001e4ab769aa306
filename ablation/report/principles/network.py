"""The principles behind the options of data and model."""

from __future__ import annotations

from ablation._util.language import tr_noop
from ablation.report.principles.principle import Principle

DROPOUT = Principle(
    tr_noop("Dropout"),
    tr_noop(
        "In each training step every unit *h_i* is set to zero with probability *p*, independently of the others, and "
        "those that are kept are divided by 1 \u2212 *p*, so that the expected value stays the same; in evaluation all "
        "units are used as they are. Since no unit can rely on another one being there, co-adaptation is reduced: a "
        "network with dropout behaves like an average of many thinned networks that share their weights "
        "[srivastava2014]."
    ),
    r"\tilde{h}_i = \frac{m_i\, h_i}{1 - p}, \qquad m_i \sim \mathrm{Bernoulli}(1 - p)",
)

NETWORK: dict[str, Principle] = {
    "model.dropout": DROPOUT,
    "model.feature_dropout": DROPOUT,
    "model.input_dropout": DROPOUT,
    "model.dropconnect": Principle(
        tr_noop("DropConnect"),
        tr_noop(
            "DropConnect sets single weights instead of units to zero: in each training step each weight of a linear "
            "layer is dropped with probability *p* [wan2013]. Here the weights that are kept are divided by 1 \u2212 "
            "*p* while training, and evaluation uses all weights unchanged; the original paper approximates the "
            "average over masks by sampling instead."
        ),
        r"\tilde{W}_{ij} = \frac{M_{ij}\, W_{ij}}{1 - p}, \qquad M_{ij} \sim \mathrm{Bernoulli}(1 - p)",
    ),
    "model.norm": Principle(
        tr_noop("Normalisation"),
        tr_noop(
            "A normalisation layer subtracts the mean of a set of activations and divides by their standard deviation; "
            "a scale \u03b3 and a shift \u03b2, learned for each channel, let the layer undo this where that is "
            "useful. It keeps the activations of deep networks in a range in which gradients neither vanish nor "
            "explode, and allows larger learning rates [ioffe2015]."
        ),
        r"y = \gamma\, \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}} + \beta",
        tr_noop("The kinds differ in the set that \u03bc and \u03c3\u00b2 are taken over."),
        kinds={
            "batch": tr_noop(
                "`batch` takes them over all images of the batch and all pixels, channel by channel; evaluation uses "
                "running averages from training [ioffe2015]."
            ),
            "layer": tr_noop("`layer` takes them over all channels and pixels of one image [ba2016]."),
            "group": tr_noop(
                "`group` takes them over the pixels of a group of channels of one image, and so does not depend on the "
                "size of the batch [wu2018]."
            ),
            "instance": tr_noop("`instance` takes them over the pixels of each channel of one image [ulyanov2016]."),
            "none": tr_noop("`none` leaves the activations as they are."),
        },
    ),
    "model.norm_position": Principle(
        tr_noop("Position of the normalisation"),
        tr_noop(
            "The normalisation *N* can come before the activation function *a* of a layer, as proposed first "
            "[ioffe2015], or after it. Before it, the activation sees inputs around zero; after it, the next layer "
            "does."
        ),
        r"\mathrm{before:}\ \ a(N(W x)) \qquad \mathrm{after:}\ \ N(a(W x))",
    ),
    "model.activation": Principle(
        tr_noop("Activation function"),
        tr_noop(
            "Without a nonlinear function between them, several linear layers are no more than one. Functions that "
            "saturate have small gradients away from zero, which slows down the lower layers [glorot2010]."
        ),
        kinds={
            "relu": tr_noop(
                "`relu` passes positive values and sets negative ones to zero, so that its gradient is 0 or 1 "
                "[nair2010]."
            ),
            "leaky_relu": tr_noop(
                "`leaky_relu` keeps a small slope *s* for negative values, so that no unit is without a gradient "
                "[maas2013]."
            ),
            "gelu": tr_noop(
                "`gelu` weights a value by the probability \u03a6 that a standard normal variable is below it "
                "[hendrycks2016]."
            ),
            "silu": tr_noop("`silu` weights a value by its own logistic function [elfwing2018]."),
            "sigmoid": tr_noop(
                "`sigmoid` maps to (0, 1); its gradient is at most 1/4, and its outputs are all positive [glorot2010]."
            ),
            "tanh": tr_noop("`tanh` maps to (\u22121, 1), centred at zero [glorot2010]."),
        },
        formulas={
            "relu": r"\mathrm{relu}(x) = \max(0, x)",
            "leaky_relu": r"\mathrm{leaky\,relu}(x) = \max(0, x) + s\,\min(0, x)",
            "gelu": r"\mathrm{gelu}(x) = x\,\Phi(x)",
            "silu": r"\mathrm{silu}(x) = \frac{x}{1 + e^{-x}}",
            "sigmoid": r"\mathrm{sigmoid}(x) = \frac{1}{1 + e^{-x}}",
            "tanh": r"\tanh(x) = \frac{e^{x} - e^{-x}}{e^{x} + e^{-x}}",
        },
    ),
    "model.pool": Principle(
        tr_noop("Pooling"),
        tr_noop(
            "A pooling layer replaces each small region *R* of a feature map by one number. It makes the map smaller "
            "and the answer less sensitive to small shifts; the maximum keeps the strongest response, the average all "
            "of them in part [boureau2010]."
        ),
        r"y_{\max} = \max_{i \in R} x_i \qquad y_{\mathrm{avg}} = \frac{1}{|R|} \sum_{i \in R} x_i",
    ),
    "model.kernel_size": Principle(
        tr_noop("Kernel size"),
        tr_noop(
            "A convolution with kernels of *k* \u00d7 *k* pixels from *C* to *C'* channels has *k*\u00b2 *C C'* "
            "weights. The region of the image that a unit sees, its receptive field *r*, grows with every layer by "
            "(*k* \u2212 1) times the product of the strides *s* before it [araujo2019]. Several small kernels see as "
            "much as one large kernel with fewer weights and more nonlinearities [simonyan2015]."
        ),
        r"r = 1 + \sum_{l=1}^{L} (k_l - 1) \prod_{j=1}^{l-1} s_j",
    ),
    "model.channels": Principle(
        tr_noop("Channels and width"),
        tr_noop(
            "More channels let a layer represent more features. The weights of a convolution grow with the product of "
            "its input and output channels, so that a network that is *w* times as wide has about *w*\u00b2 times as "
            "many weights in its convolutions and needs as many times the operations [zagoruyko2016]."
        ),
        r"P(w) = k^2\, (w\, C)(w\, C') = w^2\, P(1)",
    ),
    "model.name": Principle(
        tr_noop("Architecture"),
        tr_noop("Networks differ in their depth, in how layers are connected, and in how many weights they have."),
        kinds={
            "lenet": tr_noop(
                "LeNet-5 alternates two convolutions with pooling, followed by three linear layers [lecun1998]."
            ),
            "vgg": tr_noop(
                "The VGG networks stack convolutions with small kernels, with pooling after each of five stages; they "
                "differ in how many convolutions a stage has [simonyan2015]."
            ),
            "resnet": tr_noop(
                "Residual networks add the input of a block to its output, so that a block learns the difference from "
                "the identity and gradients pass the sum unchanged; this makes much deeper networks trainable [he2016]."
            ),
            "resnet9": tr_noop(
                "ResNet-9 is a shallow residual network that was designed to train fast on CIFAR-10 [page2018]."
            ),
        },
        formulas={"resnet": r"y = F(x) + x", "resnet9": r"y = F(x) + x"},
    ),
    "model.hidden": Principle(
        tr_noop("Hidden layers of the classifier"),
        tr_noop(
            "The features of the convolutions are classified by linear layers with a nonlinear function between them, "
            "whose weights are trained by back-propagation as all others [rumelhart1986]. More and wider hidden layers "
            "can represent more functions, and hold many of the weights of small networks."
        ),
        r"h^{(l)} = a(W^{(l)} h^{(l-1)} + b^{(l)})",
    ),
    "model.stem": Principle(
        tr_noop("Stem"),
        tr_noop(
            "The stem is what a network begins with. A large one, 7 \u00d7 7 with stride 2 and a pool, quarters each "
            "side of the image at once, which suits photographs of 224 pixels [he2016]; on images of 32 pixels it "
            "loses most of the detail. With kernel *k*, padding *p* and stride *s*, a side of *n* pixels becomes *n'* "
            "[dumoulin2016]."
        ),
        r"n' = \lfloor \frac{n + 2p - k}{s} \rfloor + 1",
    ),
    "model.init": Principle(
        tr_noop("Initial weights"),
        tr_noop(
            "Weights are drawn at random so that the variance of activations and gradients stays about the same from "
            "layer to layer; it depends on how many inputs and outputs a unit has (fan-in and fan-out)."
        ),
        kinds={
            "xavier": tr_noop(
                "`xavier` balances the forward and the backward pass for functions that are linear around zero "
                "[glorot2010]."
            ),
            "kaiming": tr_noop(
                "`kaiming` takes into account that a ReLU sets half of its inputs to zero [he2015]; the output layer "
                "is drawn with standard deviation 0.01 [goyal2017]."
            ),
            "normal": tr_noop(
                "`normal` draws from a normal distribution with standard deviation 0.01 whatever the layer "
                "[krizhevsky2012]."
            ),
            "default": tr_noop(
                "`default` draws weights and biases from the uniform distribution that PyTorch uses [paszke2019]."
            ),
        },
        formulas={
            "xavier": r"\mathrm{Var}(w) = \frac{2}{n_{\mathrm{in}} + n_{\mathrm{out}}}",
            "kaiming": r"\mathrm{Var}(w) = \frac{2}{n_{\mathrm{in}}}",
            "default": r"\mathrm{Var}(w) = \frac{1}{3\, n_{\mathrm{in}}}",
        },
    ),
    "model.weights": Principle(
        tr_noop("Pretrained weights"),
        tr_noop(
            "Instead of random weights, training can start from those of a network that was trained on another task. "
            "The first layers of such networks detect features that are useful for most images, the later ones become "
            "specific to the task [yosinski2014]. Starting from them helps most where there are few training images "
            "[kornblith2019]."
        ),
        r"\theta_0 = \theta_{\mathrm{source}}",
    ),
    "model.freeze": Principle(
        tr_noop("Frozen layers"),
        tr_noop(
            "Frozen layers keep the weights that they start from, and only the classifier is trained on their "
            "features: fewer weights are fitted, at the price of features that may not suit the new task "
            "[yosinski2014]."
        ),
        r"\theta_{t+1}^{\mathrm{features}} = \theta_t^{\mathrm{features}}",
    ),
    "model.input_size": Principle(
        tr_noop("Input size"),
        tr_noop(
            "Images can be resized before they enter the network. The operations of a convolution grow with the area "
            "of its feature maps, and the apparent size of objects changes, to which a trained network is sensitive "
            "[touvron2019]."
        ),
        r"\mathrm{operations} \propto h \cdot w",
    ),
    "data.augment": Principle(
        tr_noop("Data augmentation"),
        tr_noop(
            "Augmentation trains on randomly transformed images *T*(*x*) that keep their label, so that the network "
            "learns to ignore what the transformations change; validation images stay as they are [shorten2019]."
        ),
        r"\min_\theta\ \frac{1}{N} \sum_{i=1}^{N} \mathrm{E}_T\, \ell(f_\theta(T(x_i)), y_i)",
        kinds={
            "crop": tr_noop(
                "`crop` pads the image with zeros and cuts out a window of the original size at a random place "
                "[lee2015, he2016]."
            ),
            "flip": tr_noop("`flip` mirrors images from left to right at random [krizhevsky2012]."),
            "cutout": tr_noop("`cutout` sets a square at a random place to zero [devries2017]."),
            "random_resized_crop": tr_noop(
                "`random_resized_crop` cuts out a part of random area and aspect ratio and scales it to the full size "
                "[szegedy2015]."
            ),
            "color_jitter": tr_noop(
                "`color_jitter` multiplies brightness, contrast and saturation by random factors [howard2013]."
            ),
            "noise": tr_noop(
                "`noise` adds Gaussian noise to the normalised pixels, which for small noise acts like a penalty on "
                "the derivatives of the network [bishop1995]."
            ),
        },
    ),
    "data.fraction": Principle(
        tr_noop("Amount of training data"),
        tr_noop(
            "With more training data the error falls, in many tasks by a power law of the number of examples towards a "
            "floor *c* that more of the same data cannot lower [hestness2017]. Here *f* is the fraction of the "
            "training images."
        ),
        r"\epsilon(f) = a\, f^{-b} + c",
    ),
}
