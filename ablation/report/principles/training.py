"""The principles behind the options of optimizer, schedule and training."""

from __future__ import annotations

from ablation._util.language import tr_noop
from ablation.report.principles.principle import Principle

_ADAM = r"m_t = \beta_1 m_{t-1} + (1 - \beta_1)\, g_t, \qquad v_t = \beta_2 v_{t-1} + (1 - \beta_2)\, g_t^2"
_STEP = r"\frac{m_t / (1 - \beta_1^t)}{\sqrt{v_t / (1 - \beta_2^t)} + \varepsilon}"
BUDGET = Principle(
    tr_noop("Length of the training"),
    tr_noop(
        "A longer training takes more steps of the optimizer. It usually lowers the training loss further, while the "
        "validation error may rise again [prechelt1998]."
    ),
)

OPTIMIZATION: dict[str, Principle] = {
    "optimizer.name": Principle(
        tr_noop("Optimizer"),
        tr_noop(
            "The optimizer turns the gradient *g_t* of the loss on a batch into a step of the weights \u03b8; \u03b7 "
            "is the learning rate."
        ),
        kinds={
            "sgd": tr_noop(
                "`sgd`, stochastic gradient descent, follows the gradient itself [robbins1951], or with momentum "
                "\u03bc a decaying sum of it [sutskever2013]."
            ),
            "adam": tr_noop(
                "`adam` divides a running mean of the gradients by the root of a running mean of their squares, both "
                "corrected for their start at zero, so that every weight has its own step size [kingma2015]."
            ),
            "adamw": tr_noop(
                "`adamw` is Adam with a weight decay \u03bb that acts on the weights directly instead of through the "
                "gradient [loshchilov2019]."
            ),
            "rmsprop": tr_noop(
                "`rmsprop` divides the gradient by the root of a running mean of its squares [tieleman2012]."
            ),
        },
        formulas={
            "sgd": r"v_{t+1} = \mu v_t + g_t, \qquad \theta_{t+1} = \theta_t - \eta\, v_{t+1}",
            "adam": rf"{_ADAM}" "\n" rf"\theta_{{t+1}} = \theta_t - \eta\, {_STEP}",
            "adamw": rf"{_ADAM}" "\n" rf"\theta_{{t+1}} = (1 - \eta \lambda)\, \theta_t - \eta\, {_STEP}",
            "rmsprop": r"v_t = \alpha v_{t-1} + (1 - \alpha)\, g_t^2, \qquad "
            r"\theta_{t+1} = \theta_t - \eta\, \frac{g_t}{\sqrt{v_t} + \varepsilon}",
        },
    ),
    "optimizer.lr": Principle(
        tr_noop("Learning rate"),
        tr_noop(
            "The learning rate \u03b7 scales each step of the optimizer, here for plain gradient descent on a batch "
            "*B* [robbins1951]. Too small, it leaves the training unfinished; too large, the loss fluctuates or "
            "diverges. It is often the most important hyperparameter [bengio2012]."
        ),
        r"\theta_{t+1} = \theta_t - \eta\, \frac{1}{|B|} \sum_{i \in B} \nabla_\theta\, \ell(f_\theta(x_i), y_i)",
    ),
    "optimizer.momentum": Principle(
        tr_noop("Momentum"),
        tr_noop(
            "Momentum takes steps along a decaying sum *v* of past gradients [polyak1964]. Directions that keep their "
            "sign add up, those that alternate cancel, which speeds up training where the loss is much steeper in some "
            "directions than in others [sutskever2013]. With coefficient \u03bc a constant gradient is followed with "
            "steps 1/(1 \u2212 \u03bc) times as long, so that \u03bc close to 1 needs a smaller learning rate."
        ),
        r"v_{t+1} = \mu v_t + g_t, \qquad \theta_{t+1} = \theta_t - \eta\, v_{t+1}",
    ),
    "optimizer.nesterov": Principle(
        tr_noop("Nesterov momentum"),
        tr_noop(
            "Nesterov's method evaluates the gradient at the point to which momentum is about to lead [nesterov1983], "
            "which corrects steps that are too long earlier. In the usual implementation for networks the gradient is "
            "added once more to the step [sutskever2013]."
        ),
        r"v_{t+1} = \mu v_t + g_t, \qquad \theta_{t+1} = \theta_t - \eta\, (g_t + \mu v_{t+1})",
    ),
    "optimizer.weight_decay": Principle(
        tr_noop("Weight decay"),
        tr_noop(
            "Weight decay pulls every weight towards zero and so prefers functions that are smoother, which reduces "
            "overfitting [krogh1992]. Added to the gradient it is the derivative of an L2 penalty on the weights."
        ),
        r"L_\lambda(\theta) = L(\theta) + \frac{\lambda}{2} \|\theta\|^2, \qquad "
        r"\nabla L_\lambda = \nabla L + \lambda\, \theta",
        tr_noop(
            "In adaptive optimizers the two are not the same: AdamW decays the weights directly, by "
            "\u03b7\u03bb\u03b8 a step [loshchilov2019]."
        ),
    ),
    "optimizer.head_lr_multiplier": Principle(
        tr_noop("Learning rate of the output layer"),
        tr_noop(
            "In fine-tuning, layers that start from pretrained weights need smaller steps than a new output layer: its "
            "learning rate is a multiple *m* of that of the others [howard2018]."
        ),
        r"\eta_{\mathrm{head}} = m\, \eta",
    ),
    "schedule": Principle(
        tr_noop("Learning-rate schedule"),
        tr_noop(
            "A schedule changes the learning rate \u03b7 during training: large steps at first to make progress, small "
            "ones at the end to settle in a minimum. Here *e* is the epoch and *u* the part of the training after the "
            "warm-up that is done, from 0 to 1."
        ),
        kinds={
            "constant": tr_noop("`constant` keeps it."),
            "step": tr_noop("`step` multiplies it by \u03b3 every *S* epochs from the start of the training."),
            "multistep": tr_noop(
                "`multistep` multiplies it by \u03b3 at each of the milestones *M*, in epochs from the start of the "
                "training [he2016]."
            ),
            "cosine": tr_noop("`cosine` lowers it along half a cosine [loshchilov2017]."),
            "exponential": tr_noop(
                "`exponential` multiplies it by \u03b3 after each of the *e* epochs since the warm-up."
            ),
            "one_cycle": tr_noop(
                "`one_cycle` raises it to its peak and then lowers it to almost zero [smith2019], here each along half "
                "a cosine."
            ),
            "plateau": tr_noop(
                "`plateau` multiplies it by a factor when the validation loss has stopped falling [he2016]."
            ),
        },
        formulas={
            "constant": r"\eta(e) = \eta_0",
            "step": r"\eta(e) = \eta_0\, \gamma^{\lfloor e / S \rfloor}",
            "multistep": r"\eta(e) = \eta_0\, \gamma^{|\{m \in M\,:\ m \leq e\}|}",
            "cosine": r"\eta(u) = \eta_{\min} + \frac{1}{2} (\eta_0 - \eta_{\min}) (1 + \cos \pi u)",
            "exponential": r"\eta(e) = \eta_0\, \gamma^e",
        },
    ),
    "schedule.warmup_epochs": Principle(
        tr_noop("Warm-up"),
        tr_noop(
            "Warm-up raises the learning rate linearly over the first *T* steps, in which large steps from random "
            "weights would do harm [goyal2017]."
        ),
        r"\eta_t = \eta_0\, \frac{t + 1}{T}, \qquad t = 0, \ldots, T - 1",
    ),
    "train.epochs": BUDGET,
    "train.steps": BUDGET,
    "train.batch_size": Principle(
        tr_noop("Batch size"),
        tr_noop(
            "Each step uses the mean gradient of *B* images. Its variance falls as 1/*B* while the number of steps an "
            "epoch falls as well; the noise of small batches can help generalisation [masters2018], and the best "
            "learning rate grows with the batch [goyal2017]."
        ),
        r"g = \frac{1}{B} \sum_{i=1}^{B} \nabla_\theta\, \ell_i, \qquad \mathrm{Var}(g) \propto \frac{1}{B}",
    ),
    "train.label_smoothing": Principle(
        tr_noop("Label smoothing"),
        tr_noop(
            "The target of the cross-entropy gives the true class *y* a probability just below 1 and shares \u03b5 "
            "among all *K* classes, so that the network is not pushed to ever larger differences between its outputs "
            "[szegedy2016]. It makes confidences better calibrated [muller2019]."
        ),
        r"q_k = (1 - \varepsilon)\, \delta_{k y} + \frac{\varepsilon}{K}",
    ),
    "train.mixup": Principle(
        tr_noop("Mixup"),
        tr_noop(
            "Mixup trains on weighted means of two images and of their labels, with a weight \u03bb drawn for each "
            "batch, so that the network is encouraged to behave linearly between examples [zhang2018]."
        ),
        r"\tilde{x} = \lambda x_i + (1 - \lambda) x_j, \quad \tilde{y} = \lambda y_i + (1 - \lambda) y_j, \quad "
        r"\lambda \sim \mathrm{Beta}(\alpha, \alpha)",
    ),
    "train.clip_norm": Principle(
        tr_noop("Gradient clipping"),
        tr_noop(
            "Where the norm of the gradient over all weights exceeds *c*, the gradient is scaled down to norm *c* "
            "before the step, so that one batch with a large gradient cannot throw the weights far off [pascanu2013]."
        ),
        r"g \leftarrow g \cdot \min \left( 1, \frac{c}{\|g\|} \right)",
    ),
    "train.patience": Principle(
        tr_noop("Early stopping"),
        tr_noop(
            "Training ends once the validation accuracy *A* has not risen for *P* epochs, before the network fits what "
            "is particular to the training images [prechelt1998]."
        ),
        r"\max_{s \leq t - P} A_s \geq \max_{t - P < s \leq t} A_s",
    ),
    "train.select": Principle(
        tr_noop("Reported epoch"),
        tr_noop(
            "A run can report its last epoch, or the one with the highest validation accuracy, which is a form of "
            "early stopping [prechelt1998]. The maximum over epochs is slightly optimistic, since it is chosen on the "
            "images that it is reported on."
        ),
        r"t^* = \mathrm{arg\,max}_t\, A_t",
    ),
    "train.precision": Principle(
        tr_noop("Numerical precision"),
        tr_noop(
            "Numbers of 16 bits need half the memory of those of 32 bits and are multiplied faster on many devices, "
            "with fewer digits."
        ),
        kinds={
            "fp32": tr_noop("`fp32` computes with 32 bits throughout."),
            "tf32": tr_noop("`tf32` rounds the inputs of matrix products and convolutions to 10 bits of mantissa."),
            "bf16": tr_noop("`bf16` has the range of fp32 with 7 bits of mantissa [kalamkar2019]."),
            "fp16": tr_noop(
                "`fp16` has 10 bits of mantissa and a small range: the loss \u2113 is multiplied by a scale *s* so "
                "that small gradients are not lost, and the gradient divided by it again [micikevicius2018]."
            ),
        },
        formulas={"fp16": r"g = \frac{1}{s}\, \nabla_\theta (s\, \ell)"},
    ),
    "train.stages": Principle(
        tr_noop("Training in stages"),
        tr_noop(
            "The training is split into stages with learning rates, schedules and frozen layers of their own; each "
            "starts from weights of those before. Unfreezing pretrained layers late keeps their features from being "
            "overwritten while the new layers are still random [howard2018]."
        ),
    ),
}
