# The language of the model: linear equations in x, written as one line, and their solution written step by step.
# The README beside this file describes the forms; everything random comes from the random.Random handed in.
import hashlib
import random
import re
from dataclasses import dataclass
from fractions import Fraction

HELD_OUT_ONE_IN = 20


@dataclass(frozen=True)
class Numbers:
  """The largest magnitudes in the equations."""
  constant: int
  solution: int
  slope: int  # difference of the coefficients of x on the two sides
  expanded: int  # constant of an expanded bracket
  sum_value: int
  sum_constant: int


# The numbers of the language.
NUMBERS = Numbers(constant=15, solution=10, slope=9, expanded=24, sum_value=75, sum_constant=24)
# Larger ones, which the first part of the training sees.
WIDE_NUMBERS = Numbers(constant=30, solution=12, slope=18, expanded=40, sum_value=99, sum_constant=40)


def is_held_out(equation):
  """True for the equations that training never sees: a property of the text without its spaces, so it needs no list."""
  digest = hashlib.sha256(equation.replace(" ", "").encode()).digest()
  return int.from_bytes(digest[:8], "big") % HELD_OUT_ONE_IN == 0


def term(coefficient):
  return {1: "x", -1: "-x"}.get(coefficient, f"{coefficient}x")


def plus(value):
  """The constant as it follows another term: ' + 3', ' - 3', or nothing for 0."""
  return "" if value == 0 else f" {'+' if value > 0 else '-'} {abs(value)}"


def plus_term(coefficient):
  return f" {'+' if coefficient > 0 else '-'} {term(abs(coefficient))}"


def side(coefficient, constant):
  return str(constant) if coefficient == 0 else term(coefficient) + plus(constant)


def remove_constant(left, constant, right):
  """Steps that turn `left + constant = right` into `left = value`; returns the steps and the value."""
  if constant == 0:
    return [], right
  name = "subtract" if constant > 0 else "add"
  value = right - constant
  return [f"{name} {abs(constant)}: {left} = {right}{plus(-constant)}", f"{left} = {value}"], value


def solve_one_side(a, b, c):
  """Steps for ax + b = c with a != 0."""
  steps, value = remove_constant(term(a), b, c)
  if a != 1:
    return steps + [f"divide by {a}: x = {value} / {a}", f"x = {Fraction(value, a)}"]
  return steps or [f"x = {value}"]


def solve_two_sides(a, b, c, d):
  """Steps for ax + b = cx + d with c != 0."""
  name = "subtract" if c > 0 else "add"
  steps = [f"{name} {term(abs(c))}: {side(a - c, b)} = {d}"]
  if a == c:
    return steps + ["every x" if b == d else "no solution"]
  return steps + solve_one_side(a - c, b, d)


def solve_quotient(a, b, c):
  """Steps for x/a + b = c."""
  steps, value = remove_constant(f"x/{a}", b, c)
  return steps + [f"multiply by {a}: x = {value} * {a}", f"x = {value * a}"]


def coefficient(rng):
  """2 .. 9 most of the time, else 1 or negative; never 0."""
  kind = rng.random()
  if kind < 0.70:
    return rng.randint(2, 9)
  if kind < 0.78:
    return 1
  return -rng.randint(1, 9)


def constant(rng, limit):
  """-limit .. limit without 0."""
  return rng.randint(1, limit) * rng.choice((1, -1))


def one_side_numbers(rng, numbers):
  """a, b and c of ax + b = c with an integer solution."""
  a, b, x = coefficient(rng), constant(rng, numbers.constant), rng.randint(-numbers.solution, numbers.solution)
  return a, b, a * x + b


def one_side(rng, numbers):
  a, b, c = one_side_numbers(rng, numbers)
  return f"{side(a, b)} = {c}", solve_one_side(a, b, c)


def constant_first(rng, numbers):
  a, b, c = one_side_numbers(rng, numbers)
  return f"{b}{plus_term(a)} = {c}", solve_one_side(a, b, c)


def fraction(rng, numbers):
  """ax + b = c whose solution is not an integer."""
  a, b = rng.randint(2, 9) * rng.choice((1, 1, 1, -1)), constant(rng, numbers.constant)
  value = constant(rng, 30)
  while value % a == 0:
    value = constant(rng, 30)
  return f"{side(a, b)} = {value + b}", solve_one_side(a, b, value + b)


def no_constant(rng, numbers):
  a = coefficient(rng)
  while a == 1:
    a = coefficient(rng)
  value = a * rng.randint(-numbers.solution, numbers.solution) if rng.random() < 0.7 else rng.randint(-30, 30)
  return f"{term(a)} = {value}", solve_one_side(a, 0, value)


def two_sides(rng, numbers):
  a, c = coefficient(rng), coefficient(rng)
  while a == c or abs(a - c) > numbers.slope:
    c = coefficient(rng)
  b, x = rng.randint(-numbers.constant, numbers.constant), rng.randint(-numbers.solution, numbers.solution)
  return f"{side(a, b)} = {side(c, (a - c) * x + b)}", solve_two_sides(a, b, c, (a - c) * x + b)


def same_slope(rng, numbers):
  """ax + b = ax + d: no solution, or every x."""
  a, b = coefficient(rng), rng.randint(-numbers.constant, numbers.constant)
  d = b if rng.random() < 0.4 else rng.randint(-numbers.constant, numbers.constant)
  return f"{side(a, b)} = {side(a, d)}", solve_two_sides(a, b, a, d)


def bracket(rng, numbers):
  a, b, x = coefficient(rng), constant(rng, 9), rng.randint(-numbers.solution, numbers.solution)
  while a in (1, -1) or abs(a * b) > numbers.expanded:
    a, b = coefficient(rng), constant(rng, 9)
  right = a * (x + b)
  return f"{a}(x{plus(b)}) = {right}", [f"expand: {side(a, a * b)} = {right}"] + solve_one_side(a, a * b, right)


def quotient(rng, numbers):
  a, b, value = rng.randint(2, 9), rng.randint(-numbers.constant, numbers.constant), rng.randint(-numbers.solution, numbers.solution)
  return f"x/{a}{plus(b)} = {value + b}", solve_quotient(a, b, value + b)


def swapped(rng, numbers):
  """The unknown on the right-hand side only."""
  equation, steps = rng.choice((one_side, fraction, bracket))(rng, numbers)
  left, right = equation.split(" = ")
  return f"{right} = {left}", [f"swap sides: {equation}"] + steps


def open_sum(rng, numbers):
  """ax = c + b: the sum is still to be done."""
  a = rng.choice((1, 1, 1, coefficient(rng)))
  value, b = rng.randint(-numbers.sum_value, numbers.sum_value), constant(rng, numbers.sum_constant)
  if a == 1:
    return f"x = {value}{plus(b)}", [f"x = {value + b}"]
  total = a * rng.randint(-numbers.solution, numbers.solution)
  return f"{term(a)} = {total - b}{plus(b)}", [f"{term(a)} = {total}"] + solve_one_side(a, 0, total)


def open_product(rng, numbers):
  """x = c / a or x = c * a."""
  a = coefficient(rng)
  kind = rng.random()
  if kind < 0.2:
    value = rng.randint(-numbers.solution, numbers.solution)
    return f"x = {value} * {abs(a)}", [f"x = {value * abs(a)}"]
  value = a * rng.randint(-numbers.solution, numbers.solution) if kind < 0.6 else rng.randint(-30, 30)
  return f"x = {value} / {a}", [f"x = {Fraction(value, a)}"]


# The equations that are solved, with their shares.
FORMS = {one_side: 28, two_sides: 24, fraction: 12, bracket: 14, constant_first: 6, quotient: 6, swapped: 6, no_constant: 2, same_slope: 2}
# Single operations on the right-hand side: short, so training sees many of them among the whole equations.
DRILLS = {open_sum: 60, open_product: 30, no_constant: 10}


def sample(rng, held_out, forms=FORMS, numbers=NUMBERS):
  """One problem of the wanted half of the split: (name of the form, the line that is the prompt, the text of the solution)."""
  while True:
    form = rng.choices(list(forms), weights=list(forms.values()))[0]
    equation, steps = form(rng, numbers)
    if is_held_out(equation) != held_out or any(abs(int(number)) > 99 for number in re.findall(r"\d+", equation)):
      continue
    if rng.random() < 0.1:
      equation = equation.replace(" ", "")
    return form.__name__, equation, "".join("\n" + step for step in steps)


def held_out_problems(count, seed):
  """`count` different held-out equations, the same ones for the same seed."""
  rng, problems = random.Random(seed), {}
  while len(problems) < count:
    form, equation, solution = sample(rng, held_out=True)
    problems.setdefault(equation.replace(" ", ""), (form, equation, solution))
  return list(problems.values())
