// parameters: what a model stores, read from the types of its programs: every parameter and state with its name, shape and format.
#pragma once
#include <weft/models/dims.hpp>
#include <weft/plan/plan.hpp>

#include <string>
#include <string_view>

namespace weft {

// the characters of a name (by counting: g++ 12 warns wrongly about strlen of constants inside tables)
constexpr std::string_view text_of(const Name& name) { return {name.text, static_cast<std::size_t>(name.length())}; }

// One tensor of a model, or one per block of a repeated layer: then its path has a '#' for the number of the block. A second '#' stands for the
// index along the first dimension: checkpoints may store each part as a tensor of its own.
struct ParameterRow {
  Role role{};  // parameter or state
  Name path{};
  DType dtype{};
  int rank = 0;
  long extent[max_rank]{};  // as the checkpoint stores it; runtime where only a running sequence knows it (the rows of a cache)
  long blocks = 1;          // how many tensors share this row: as many as there are layers, of which some may lack it
  unsigned kinds = ~0u;     // bit k: layers of kind k have it
  bool contracted = false;  // read as the columns of a contraction, and stored to by no program

  constexpr long size() const {  // elements of one tensor; of a state: per row
    long n = 1;
    for (int d = 0; d < rank; ++d) n *= extent[d] == runtime ? 1 : extent[d];
    return n;
  }
  constexpr bool is_repeated() const { return hashes() > 0; }
  constexpr bool may_lie_in_parts() const { return hashes() > 1; }
  constexpr long rows() const { return rank > 0 ? size() / extent[rank - 1] : 1; }  // of a matrix, of all parts together

 private:
  constexpr int hashes() const {
    int n = 0;
    for (const char* c = path.text; *c; ++c) n += *c == '#';
    return n;
  }
};

struct ParameterTable {
  static constexpr int capacity = 40;
  ParameterRow row[capacity];
  int rows = 0;
  LayerKinds kinds{};

  // does this block have the tensor?
  constexpr bool has(const ParameterRow& r, long block) const { return !r.is_repeated() || (r.kinds >> kinds.of(block) & 1) != 0; }
  // how many tensors there are
  constexpr long count(const ParameterRow& r) const {
    if (r.kinds == ~0u) return r.blocks;
    long n = 0;
    for (long block = 0; block < r.blocks; ++block) n += has(r, block);
    return n;
  }

  // the number of a path as it stands in the type, '#' included; -1 if there is none
  constexpr int find(const Name& path) const {
    for (int i = 0; i < rows; ++i)
      if (row[i].path == path) return i;
    return -1;
  }
};

// Adds the tensors of one role that program P reads or writes. `dims` knows the extents of the axes that are open in the type. `kinds`: bit k is set
// if P is a program of layers of kind k.
template <class P, class Dims> constexpr void add_parameters(ParameterTable& rows, const Dims& dims, Role role, unsigned kinds = ~0u) {
  constexpr const auto& table = Compiled<P>::table;
  for (int i = 0; i < table.leaves; ++i) {
    const LeafRecord& leaf = table.leaf[i];
    if (leaf.role != role) continue;
    if (const int known = rows.find(leaf.path); known >= 0) {
      rows.row[known].contracted = (rows.row[known].contracted || contracts_with<P>(i)) && !stores_to<P>(i);
      rows.row[known].kinds |= kinds;
      continue;
    }
    ParameterRow r;
    r.contracted = contracts_with<P>(i) && !stores_to<P>(i);
    r.kinds = kinds;
    r.role = leaf.role;
    r.path = leaf.path;
    r.dtype = leaf.dtype;
    r.rank = leaf.rank;
    for (int d = 0, a = 0; d < leaf.rank; ++d) {
      r.extent[d] = 1;
      for (int k = 0; k < leaf.axes_in[d]; ++k, ++a) {
        const AxisRecord& axis = table.axis[leaf.axis[a]];
        const long e = axis.extent == runtime ? dims.extent_of(axis.name) : axis.extent;
        r.extent[d] = e == runtime || r.extent[d] == runtime ? runtime : r.extent[d] * e;
      }
    }
    if (r.is_repeated()) r.blocks = dims.layers;
    rows.row[rows.rows++] = r;
  }
}

// The name in the checkpoint: "model.layers.#.mlp.up_proj.weight" of block 3 is "model.layers.3.mlp.up_proj.weight". `part` is the number at a
// second '#', which stays where there is none.
inline std::string checkpoint_name(std::string_view path, long block, long part = -1) {
  std::string name(path);
  for (const long number : {block, part})
    if (const auto at = name.find('#'); at != name.npos && number >= 0) name.replace(at, 1, std::to_string(number));
  return name;
}

inline std::string shape_of(const ParameterRow& row) {
  std::string text = "[";
  for (int d = 0; d < row.rank; ++d)
    text += (d ? ", " : "") + (row.extent[d] == runtime ? std::string("token") : std::to_string(row.extent[d]));
  return text + "]";
}

}  // namespace weft
