// Draws the plan of a decoder layer of Qwen2.5-0.5B: decoder_layer_plan | dot -Tsvg > examples/decoder_layer.svg
#include <weft/models/qwen2.hpp>
#include <weft/plan/graphviz.hpp>

#include <cstdio>

int main() { std::puts(weft::graphviz<weft::LayerProgram<weft::Qwen2_5_0_5B>>().c_str()); }
