# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Segregation by gradient, and where there is none
#
# Schelling's people leave when too few of their neighbours are like them. How many they want is drawn from a Beta law,
# so that a small change of its mean changes what a few people do. Then the expected segregation has a derivative.

# %%
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist

import populace as pop
from populace.zoo.schelling import Schelling

STEPS, AVERAGED = 6, 20
truth = {"tolerance": 0.45, "spread": 0.15, "density": 0.75}
model = pop.bind(Schelling(pop.Grid(20, 20, pop.Moore(1))), truth)

# %% [markdown]
# The data are the mean curves of twenty runs: the share of like neighbours, and how many moved. More runs at the same
# parameters say how these vary. In the first step every empty cell is taken, so that the movers are counted from the
# second on.

# %%
runs = pop.ensemble(model, jr.key(1), STEPS, runs=200).observations
alike, moved = (np.asarray(runs[name][0], np.float64) for name in ("alike", "moved"))
seen = np.concatenate([alike, moved[:, 1:]], axis=1)
target = pop.Target(
    {"alike": alike[:AVERAGED].mean(0), "moved": moved[:AVERAGED].mean(0)},
    [pop.level("alike"), pop.moment("movers", lambda moved: moved[1:], of="moved")],
)
target = target.with_covariance(np.cov(seen.T) / AVERAGED, "200 runs, for a mean of 20")
space = pop.Space(tolerance=dist.Uniform(0.25, 0.65), spread=dist.Uniform(0.03, 0.4), density=dist.Uniform(0.55, 0.9))
problem = pop.Problem(pop.Simulation(model, STEPS), space, target)

# %% [markdown]
# A descent that is not told where gradients come from (`pop.GradientDescent()`) audits its candidates first; on this
# model it takes differences, because no other candidate sees anything of a comparison. Here they are asked for. At the
# end, differences with common random numbers judge it and give the errors. A wide difference (three tenths of a
# prior's spread) shows against the noise of towns this small.

# %%
differences = pop.Differences(step=0.1, scale={"v": 1.0})
method = pop.GradientDescent(differences, starts=1, difference=0.3, judged=300)
fit = pop.calibrate(problem, method, jr.key(3), budget=7_000, predictive=20)
print(*fit.estimate.notes(), sep="\n")
real = np.asarray(space.to_real({name: jnp.array([value]) for name, value in truth.items()}))[0]
errors = (fit.estimate.real - real) / np.sqrt(np.diag(fit.estimate.covariance))
for name, error in zip(space.labels, errors, strict=True):
    middle = np.median(fit.draws[name])
    print(f"{name}: truth {truth[name]}, found {middle:.3f}, {error:+.1f} standard errors off")

# %% [markdown]
# With one tolerance for all, people see fractions of up to eight neighbours only. Between two such fractions nothing
# changes, at them everything does: the audit says that there is no derivative, whoever would estimate it.

# %%
common = pop.bind(model, {"tolerance": 0.35, "spread": 0.0})
loss = pop.ExpectedLoss(pop.Simulation(common, STEPS), lambda seen: seen["alike"][-1])
audit = pop.audit_gradient(
    loss, [pop.Differences()], jr.key(4), at=[{"tolerance": 0.35}], horizons=[STEPS], keys=64, step=0.05
)
for verdict in audit.verdicts.values():
    print(verdict.sentence)
