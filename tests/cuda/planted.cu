// planted: kernels of the library, used wrongly on purpose. `planted DEFECT` does what the checker of that name must report; `planted none`
// does it right.
#include <weft/cuda/evaluate.cuh>

#include <cstdio>
#include <cstring>

using namespace weft;
using Row = Axis<"row">;
using Column = Axis<"column">;

namespace {

// two reductions of a block: the second needs shared memory of its own, for the first may still be read
__global__ void reduce_twice(float* out, bool apart) {
  __shared__ float part[64];
  const float first = cuda::reduce_block<true>(static_cast<float>(threadIdx.x), part);
  const float second = cuda::reduce_block<false>(first + static_cast<float>(threadIdx.x), apart ? part + 32 : part);
  if (threadIdx.x == 0) *out = second;
}
// all threads of a block have to take part
__global__ void reduce_half(float* out, bool half) {
  __shared__ float part[32];
  if (!half || threadIdx.x < blockDim.x / 2) {
    const float sum = cuda::reduce_block<true>(1.f, part);
    if (threadIdx.x == 0) *out = sum;
  } else {
    __syncthreads();
    __syncthreads();
  }
}
void sum_rows(bool short_memory, bool unwritten) {
  constexpr long rows = 3, columns = 100;
  cuda::Buffer<float, Row> sums(rows);
  const cuda::Memory memory(static_cast<std::size_t>(rows * columns) * sizeof(float) - (short_memory ? 64 : 0));
  if (!unwritten) cuda::check(cudaMemset(memory.data(), 0, memory.size()), "clearing");
  evaluate(
      on_cuda, [](auto x) { return sum<Column>(x); }, sums.view(), Tensor<float, Row, Column>(memory.as<float>(), rows, columns));
}

}  // namespace

int main(int count, char** arguments) {
  const char* defect = count > 1 ? arguments[1] : "none";
  const auto is = [&](const char* name) { return std::strcmp(defect, name) == 0; };
  try {
    const cuda::Memory out(sizeof(float));
    reduce_twice<<<1, 128>>>(out.as<float>(), !is("race"));
    reduce_half<<<1, 128>>>(out.as<float>(), is("sync"));
    cuda::check(cudaDeviceSynchronize(), "planted kernels");
    sum_rows(is("memory"), is("init"));
    std::puts("no error");
    return 0;
  } catch (const Error& e) {
    std::printf("%s\n", e.what());
    return 1;
  }
}
