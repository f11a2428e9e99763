// weft: formulas over named axes, compiled into fused kernels. This header brings formulas, layers, the planner with its explanations and the CPU
// executor. Models (weft/models/qwen2.hpp ...) and the rooms that load and run them (weft/io, weft/text, weft/generate) are included by
// those who use them.
#pragma once
#include <weft/cpu/evaluate.hpp>
#include <weft/nn/layers.hpp>
#include <weft/plan/explain.hpp>
#include <weft/plan/graphviz.hpp>
