// a module over another hidden size than its neighbours: the message names the module, in its place
// expect: the_model_is_wrong
// expect: axes_of_one_name_differ_in_extent
// expect: in_module<.*'m', ?'l', ?'p', ?'\.', ?'g', ?'a', ?'t', ?'e'
// within: 14 lines
#include <weft/nn/layers.hpp>
using namespace weft;
using Hidden = Axis<"hidden", 64>;
#ifndef CONTROL
using MlpHidden = Axis<"hidden", 96>;
#else
using MlpHidden = Hidden;
#endif
using Layer = Residual<RmsNorm<"norm", Hidden>, SwiGlu<"mlp", MlpHidden, 128>>;
constexpr auto formula = assign(Output<"y", Activation, Token, Hidden>{}, apply<Layer>(Input<"x", Activation, Token, Hidden>{}));
