// Draws the plan of a decoder layer with experts, of Qwen2-57B-A14B: experts_layer_plan | dot -Tsvg > examples/experts_layer.svg
#include <weft/models/qwen2_moe.hpp>
#include <weft/plan/graphviz.hpp>

#include <cstdio>

int main() { std::puts(weft::graphviz<weft::LayerProgram<weft::Qwen2_57B_A14B>>().c_str()); }
