// expr: formulas over named axes
#pragma once
#include <weft/expr/formula.hpp>
