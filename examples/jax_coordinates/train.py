"""Fit a photograph with a network from pixel coordinates to colours, in JAX (Tancik et al. 2020)."""

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.datasets import load_sample_image

ACTIVATIONS = {"relu": jax.nn.relu, "gelu": jax.nn.gelu, "sine": lambda x: jnp.sin(5 * x)}


def load(size):
    """Coordinates [n, 2] and colours [n, 3] of every second pixel, and of the others."""
    photo = load_sample_image("flower.jpg")[20:404, 128:512].astype(np.float32) / 255
    step = 384 // size
    photo = photo[: size * step, : size * step].reshape(size, step, size, step, 3).mean((1, 3))
    line = np.linspace(-1, 1, size, dtype=np.float32)
    where = np.stack(np.meshgrid(line, line, indexing="ij"), -1)
    odd = np.add.outer(np.arange(size), np.arange(size)) % 2 == 1
    return where[~odd], photo[~odd], where[odd], photo[odd]


def initialise(key, widths):
    keys = jax.random.split(key, len(widths) - 1)
    return [
        (jax.random.normal(k, (a, b)) * jnp.sqrt(2 / a), jnp.zeros(b))
        for k, a, b in zip(keys, widths[:-1], widths[1:], strict=True)
    ]


def main(options, run):
    key, frequencies = jax.random.split(jax.random.key(run.seed))
    x, colours, x_val, colours_val = load(options["size"])
    activation = ACTIVATIONS[options["activation"]]
    matrix = options["sigma"] * jax.random.normal(frequencies, (2, 64))

    def encode(where):
        if not options["fourier"]:
            return where
        angles = 2 * jnp.pi * where @ matrix
        return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], -1)

    def predict(parameters, inputs):
        for weights, bias in parameters[:-1]:
            inputs = activation(inputs @ weights + bias)
        weights, bias = parameters[-1]
        return jax.nn.sigmoid(inputs @ weights + bias)

    def loss_of(parameters, inputs, targets):
        return jnp.mean((predict(parameters, inputs) - targets) ** 2)

    @jax.jit
    def steps(parameters, first, second, start, inputs, targets):
        """Fifty steps of Adam on all pixels."""

        def step(carry, number):
            parameters, first, second = carry
            loss, slope = jax.value_and_grad(loss_of)(parameters, inputs, targets)
            first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, slope)
            second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, slope)
            by = (1 - 0.9**number, 1 - 0.999**number)
            parameters = jax.tree.map(
                lambda p, m, v: p - options["lr"] * (m / by[0]) / (jnp.sqrt(v / by[1]) + 1e-8),
                parameters,
                first,
                second,
            )
            return (parameters, first, second), loss

        carry, losses = jax.lax.scan(step, (parameters, first, second), start + jnp.arange(1.0, 51.0))
        return *carry, losses[-1]

    inputs, val_inputs = encode(x), encode(x_val)
    parameters = initialise(key, [inputs.shape[-1], *[options["width"]] * options["depth"], 3])
    first = second = jax.tree.map(jnp.zeros_like, parameters)
    for epoch in run.epochs(options["epochs"]):
        parameters, first, second, loss = steps(parameters, first, second, 50.0 * epoch, inputs, colours)
        run.log(
            50 * (epoch + 1),
            train_psnr=-10 * jnp.log10(loss),
            val_psnr=-10 * jnp.log10(loss_of(parameters, val_inputs, colours_val)),
        )
