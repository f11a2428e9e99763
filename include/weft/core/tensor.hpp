// tensor: a view on memory with named axes, and a buffer that owns memory. Views are cheap values; splitting, merging and renaming axes of a
// view copies nothing.
#pragma once
#include <weft/core/axis.hpp>
#include <weft/core/blocks.hpp>
#include <weft/core/error.hpp>

#include <cstddef>
#include <new>
#include <string>
#include <utility>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace weft {

// Memory of its own, 64-byte aligned, zeroed; moves, does not copy. Large pieces come from the system as zero pages, which cost nothing until
// they are touched (a cache for a long text that stays short), in huge pages where the system has them (fewer misses of address translation).
class Memory {
 public:
  static constexpr std::size_t alignment = 64;
  Memory() = default;
  explicit Memory(std::size_t bytes) : size_(bytes) {
    if (bytes == 0) return;
#if defined(__linux__)
    if (is_mapped()) {
      void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (p == MAP_FAILED) throw std::bad_alloc();
      madvise(p, bytes, MADV_HUGEPAGE);
      data_ = static_cast<std::byte*>(p);
      return;
    }
#endif
    data_ = static_cast<std::byte*>(::operator new (bytes, std::align_val_t{alignment}));
    for (std::size_t i = 0; i < bytes; ++i) data_[i] = std::byte{0};
  }
  Memory(Memory&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Memory& operator=(Memory&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Memory() {
    if (!data_) return;
#if defined(__linux__)
    if (is_mapped()) {
      munmap(data_, size_);
      return;
    }
#endif
    ::operator delete (data_, std::align_val_t{alignment});
  }
  std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }
  template <class T> T* as() const { return reinterpret_cast<T*>(data_); }

 private:
  bool is_mapped() const { return size_ >= (std::size_t{1} << 20); }

  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

// A view: element [i0, i1, ...] is data[i0 * stride[0] + i1 * stride[1] + ...]. Where T is a format in blocks, these lie along the last axis;
// extents and strides count elements all the same.
template <class T, class... Ax> struct Tensor {
  static constexpr int rank = sizeof...(Ax);
  using element = T;
  T* data = nullptr;
  long extent[rank ? rank : 1]{};
  long stride[rank ? rank : 1]{};

  Tensor() = default;
  // dense, row-major; extents as given must agree with those of the axes. Throws Error.
  template <class... N>
  requires(sizeof...(N) == sizeof...(Ax) && (std::is_convertible_v<N, long> && ...)) explicit Tensor(T* memory, N... extents)
      : data(memory), extent{static_cast<long>(extents)...} {
    long step = 1;
    for (int d = rank; d-- > 0;) {
      stride[d] = step;
      step *= extent[d];
    }
    check();
  }
  long size() const {
    long n = 1;
    for (int d = 0; d < rank; ++d) n *= extent[d];
    return n;
  }
  template <class... I> T& operator()(I... index) const {
    static_assert(sizeof...(I) == rank);
    static_assert(!is_block(dtype_of<std::remove_const_t<T>>), "elements in blocks have no address of their own");
    long offset = 0;
    int d = 0;
    ((offset += static_cast<long>(index) * stride[d++]), ...);
    return data[offset];
  }
  void check() const {
    int d = 0;
    (check_axis(Ax::text, Ax::extent, extent[d++]), ...);
    check_blocks(dtype_of<std::remove_const_t<T>>);
  }

 private:
  void check_blocks(DType format) const {
    if (block_elements(format) > 1 && (rank == 0 || extent[rank ? rank - 1 : 0] % block_elements(format) != 0))
      throw Error(std::string("a tensor of ") + name_of(format) + ": expected a last axis of a multiple of " +
                  std::to_string(block_elements(format)) + " elements, found " + std::to_string(rank ? extent[rank ? rank - 1 : 0] : 1));
  }
  static void check_axis(const char* name, long declared, long found) {
    if (found < 0 || (declared != runtime && declared != found))
      throw Error(std::string("axis ") + name + ": its type says " + std::to_string(declared) + ", the tensor has " +
                  std::to_string(found));
  }
};
// a scalar argument
template <class T> Tensor<T> scalar(T& value) {
  Tensor<T> t;
  t.data = &value;
  return t;
}

template <class Ax, class First, class... Rest> constexpr int position_of_axis() {
  if constexpr (std::is_same_v<Ax, First>) {
    return 0;
  } else {
    static_assert(sizeof...(Rest) > 0, "the tensor lacks this axis");
    return 1 + position_of_axis<Ax, Rest...>();
  }
}

// ---- views of views, zero copy
template <class From, class To, class T, class... Ax> auto rename_axis(const Tensor<T, Ax...>& t) {
  static_assert(From::extent == To::extent, "rename: both axes must have the same extent");
  Tensor<T, std::conditional_t<std::is_same_v<Ax, From>, To, Ax>...> r;
  r.data = t.data;
  for (int d = 0; d < t.rank; ++d) {
    r.extent[d] = t.extent[d];
    r.stride[d] = t.stride[d];
  }
  return r;
}

namespace detail {
template <class... L> struct AxisList {};
template <class... A, class... B> AxisList<A..., B...> operator+(AxisList<A...>, AxisList<B...>);
template <class T, class List> struct tensor_of_list;
template <class T, class... Ax> struct tensor_of_list<T, AxisList<Ax...>> { using type = Tensor<T, Ax...>; };
}  // namespace detail

// one axis becomes two; `inner` extents per outer one. Throws Error where it does not divide.
template <class Whole, class Outer, class Inner, class T, class... Ax>
auto split_axis(const Tensor<T, Ax...>& t, long inner = Inner::extent) {
  constexpr int at = position_of_axis<Whole, Ax...>();
  using List = decltype((std::conditional_t<std::is_same_v<Ax, Whole>, detail::AxisList<Outer, Inner>, detail::AxisList<Ax>>{} + ...));
  typename detail::tensor_of_list<T, List>::type r;
  if (inner <= 0 || t.extent[at] % inner != 0)
    throw Error(std::string("split of axis ") + Whole::text + ": " + std::to_string(t.extent[at]) + " is not a multiple of " +
                std::to_string(inner));
  r.data = t.data;
  for (int d = 0, o = 0; d < t.rank; ++d) {
    if (d == at) {
      r.extent[o] = t.extent[d] / inner;
      r.stride[o++] = t.stride[d] * inner;
      r.extent[o] = inner;
    } else {
      r.extent[o] = t.extent[d];
    }
    r.stride[o++] = t.stride[d];
  }
  r.check();
  return r;
}

// two neighbouring axes become one; throws Error where the memory between them is not regular
template <class Outer, class Inner, class Whole, class T, class... Ax> auto merge_axes(const Tensor<T, Ax...>& t) {
  constexpr int at = position_of_axis<Outer, Ax...>();
  static_assert(position_of_axis<Inner, Ax...>() == at + 1, "merge: the inner axis must follow the outer one");
  using List = decltype((std::conditional_t<std::is_same_v<Ax, Outer>, detail::AxisList<Whole>,
                                            std::conditional_t<std::is_same_v<Ax, Inner>, detail::AxisList<>, detail::AxisList<Ax>>>{} +
                         ...));
  typename detail::tensor_of_list<T, List>::type r;
  if (t.extent[at] > 1 && t.stride[at] != t.stride[at + 1] * t.extent[at + 1])
    throw Error(std::string("merge of axes ") + Outer::text + " and " + Inner::text + ": the outer stride is " +
                std::to_string(t.stride[at]) + ", a merge needs " + std::to_string(t.stride[at + 1] * t.extent[at + 1]));
  r.data = t.data;
  for (int d = 0, o = 0; d < t.rank; ++d) {
    if (d == at) continue;
    r.extent[o] = d == at + 1 ? t.extent[at] * t.extent[d] : t.extent[d];
    r.stride[o++] = t.stride[d];
  }
  r.check();
  return r;
}

// an owner with the shape of a tensor
template <class T, class... Ax> class Buffer {
 public:
  template <class... N>
  requires(sizeof...(N) == sizeof...(Ax)) explicit Buffer(N... extents)
      : memory_(static_cast<std::size_t>(bytes_for(dtype_of<T>, (1L * ... * static_cast<long>(extents))))),
        view_(memory_.as<T>(), extents...) {}
  const Tensor<T, Ax...>& view() const { return view_; }
  operator Tensor<T, Ax...>() const { return view_; }
  T* data() const { return view_.data; }
  long size() const { return view_.size(); }

 private:
  Memory memory_;
  Tensor<T, Ax...> view_;
};

}  // namespace weft
