// model_size: what a model costs in memory, traffic and arithmetic, from the table of its parameters.
#pragma once
#include <weft/models/parameters.hpp>

namespace weft {

// Counts, in elements, bytes and floating-point operations (a multiply and an add are two). "Per token" is one token of one sequence.
struct ModelSize {
  long parameters = 0;         // a tied head counts once
  long active_parameters = 0;  // with which a token is computed: of the experts only the chosen
  long non_embedding = 0;      // without the embedding and without the head
  long weight_bytes = 0;       // of all parameters
  long kv_bytes_per_token = 0;
  long head = 0;                 // elements of the head's matrix
  long layer_matrices = 0;       // elements of the matrices of all layers, of the experts only the chosen
  long flops_per_key = 0;        // of attention, for one query token in all layers
  long decode_weight_bytes = 0;  // read for each new token: everything but the rows of the embedding that are not its own

  // one token through the layers, without the head
  constexpr long prefill_flops_per_token(long context) const { return 2 * layer_matrices + flops_per_key * context; }
  // one new token that sees `context` tokens
  constexpr long flops_per_token(long context) const { return 2 * (layer_matrices + head) + flops_per_key * context; }
  constexpr long bytes_per_token(long context) const { return decode_weight_bytes + kv_bytes_per_token * context; }
};

template <class Dims>
constexpr ModelSize size_of_model(const ParameterTable& table, const Dims& dims, const Name& embedding, const Name& head) {
  ModelSize s;
  for (int i = 0; i < table.rows; ++i) {
    const ParameterRow& row = table.row[i];
    const long elements = row.size() * table.count(row), bytes = bytes_for(row.dtype, elements);
    if (row.role == Role::state) {
      s.kv_bytes_per_token += bytes;
      continue;
    }
    const long active = row.may_lie_in_parts() ? elements / dims.experts * dims.chosen : elements;
    const bool is_head = row.path == head, is_embedding = row.path == embedding;
    if (!(is_head && dims.tied)) {
      s.parameters += elements;
      s.active_parameters += active;
      s.weight_bytes += bytes;
    }
    if (!is_head && !is_embedding) s.non_embedding += elements;
    if (!is_embedding) s.decode_weight_bytes += bytes_for(row.dtype, active);
    if (is_head) s.head = elements;
    if (row.is_repeated() && row.rank > 1) s.layer_matrices += active;
  }
  s.flops_per_key = 4 * dims.layers * dims.heads * dims.head_dim;  // a score and a weighted value, each a multiply and an add
  return s;
}

}  // namespace weft
