"""What a policy of the layered epidemic sees, the rules of the house, and vaccination by age.

Most policies are a number at a decision, and need no rule of their own: `Override("school", 0.0, Window(20, 60))`.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..core.draw import Draw
from ..core.noise import as_float


class Person(eqx.Module):
    """What whoever decides about a person sees, (people,) float32: age in years; symptoms, isolation and a vaccine, 0
    or 1; the person's place in the order of age, from 0, the oldest, to 1; the day.
    """

    age: Float[Array, " people"]
    ill: Float[Array, " people"]
    isolated: Float[Array, " people"]
    vaccinated: Float[Array, " people"]
    place: Float[Array, " people"]
    day: Float[Array, " people"]


def normally(person: Person, draw: Draw) -> Float[Array, " people"]:
    """Everybody does as always."""
    return jnp.ones_like(person.age)


def nobody(person: Person, draw: Draw) -> Float[Array, " people"]:
    """Nothing is done."""
    return 0.0 * person.age  # zeros that XLA does not know beforehand: it would sum a million of them as it compiles


class OldestFirst(eqx.Module):
    """A rule at `vaccinate`: from day `start` on the share `pace` of all people has its turn each day, by age from the
    oldest, down to the age `youngest`; of them the share `uptake` accepts.
    """

    pace: Float[Array, ""] = eqx.field(converter=as_float)
    start: Float[Array, ""] = eqx.field(converter=as_float, default=1.0)
    uptake: Float[Array, ""] = eqx.field(converter=as_float, default=1.0)
    youngest: Float[Array, ""] = eqx.field(converter=as_float, default=0.0)

    def __call__(self, person: Person, draw: Draw) -> Float[Array, " people"]:
        days = person.day - self.start
        turn = (person.place >= days * self.pace) & (person.place < (days + 1.0) * self.pace)
        return self.uptake * (turn & (person.age >= self.youngest))
