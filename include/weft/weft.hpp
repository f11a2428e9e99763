// weft: formulas over named axes, compiled into fused kernels. This header brings the expressions, the planner, the layers, the models and the CPU
// executor; files of the rooms io, text and generate are included by those who load and run models.
#pragma once
#include <weft/cpu/evaluate.hpp>
#include <weft/models/llama.hpp>
#include <weft/models/qwen2.hpp>
#include <weft/plan/explain.hpp>
#include <weft/plan/graphviz.hpp>
