// Blocks of quantised weights: bit for bit what ggml's reference makes of floats and reads from blocks (tests/golden/make_blocks.py), and
// laws that every format keeps.
#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <random>
#include <vector>

#include "io_files.hpp"
#include <weft/core/quantize.hpp>
#include <weft/io/safetensors.hpp>

using namespace weft;

namespace {

constexpr DType formats[] = {DType::q8_0, DType::q4_0, DType::q4_1, DType::q5_0, DType::q5_1, DType::q4_k, DType::q5_k, DType::q6_k};

const SafetensorsFile& golden() {
  static const auto file = SafetensorsFile::open(std::filesystem::path(WEFT_SOURCE_DIR) / "tests/golden/data/blocks.safetensors");
  return file;
}
std::span<const std::byte> golden_bytes(const std::string& name) {
  const auto* tensor = golden().find(name);
  REQUIRE(tensor);
  return tensor->data;
}
std::vector<float> golden_floats(const std::string& name) {
  const auto bytes = golden_bytes(name);
  std::vector<float> floats(bytes.size() / sizeof(float));
  std::memcpy(floats.data(), bytes.data(), bytes.size());
  return floats;
}

std::vector<float> dequantized(DType format, std::span<const std::byte> blocks) {
  std::vector<float> floats(blocks.size() / static_cast<std::size_t>(block_bytes(format)) *
                            static_cast<std::size_t>(block_elements(format)));
  dequantize_row(format, blocks.data(), static_cast<long>(floats.size()), floats.data());
  return floats;
}
std::vector<std::byte> quantized(DType format, const std::vector<float>& floats) {
  std::vector<std::byte> blocks(static_cast<std::size_t>(bytes_for(format, static_cast<long>(floats.size()))));
  quantize_row(floats.data(), static_cast<long>(floats.size()), format, blocks.data());
  return blocks;
}
std::vector<float> random_floats(std::size_t count, float mean, float deviation) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal(mean, deviation);
  std::vector<float> floats(count);
  for (auto& x : floats) x = normal(random);
  return floats;
}
double squared_distance(const float* a, const float* b, long n) {
  double sum = 0;
  for (long i = 0; i < n; ++i) sum += (double{a[i]} - double{b[i]}) * (double{a[i]} - double{b[i]});
  return sum;
}

constexpr int format_digits(DType format) {
  switch (format) {
    case DType::q4_0:
    case DType::q4_1:
    case DType::q4_k: return 16;
    case DType::q6_k: return 64;
    default: return 32;
  }
}

// What no block may exceed, from its own elements. A digit errs by half a step, or by a whole one where the range has one digit less on one
// side; the f16 scale by 2^-11 of itself, as often as the largest digit says, and below 2^-14 by 2^-25.
float largest_error(DType format, const float* x) {
  float least = x[0], most = x[0];
  for (int j = 1; j < 32; ++j) least = std::min(least, x[j]), most = std::max(most, x[j]);
  const float magnitude = std::max(most, -least), width = most - least, tiny = 0x1p-25f, part = 0x1p-11f, slack = 1.0001f;
  switch (format) {
    case DType::q8_0: return slack * (magnitude / 127 * 0.5f + magnitude * part + 127 * tiny);
    case DType::q4_0: return slack * (magnitude / 8 + magnitude * part + 8 * tiny);
    case DType::q5_0: return slack * (magnitude / 16 + magnitude * part + 16 * tiny);
    case DType::q4_1: return slack * (width / 15 * 0.5f + (width + magnitude) * part + 16 * tiny);
    default: return slack * (width / 31 * 0.5f + (width + magnitude) * part + 32 * tiny);  // q5_1
  }
}

// q4_k, q5_k without a search: each group's scale spans its elements, and takes the nearest of the 64 parts of the largest scale
template <int digits> std::vector<float> plainly_quantized(const float* x) {
  constexpr int top = digits - 1;
  float scale[8], minimum[8], largest_scale = 0, largest_minimum = 0;
  for (int j = 0; j < 8; ++j) {
    const auto [least, most] = std::minmax_element(x + 32 * j, x + 32 * j + 32);
    minimum[j] = std::max(0.f, -*least);
    scale[j] = std::max(0.f, (*most + minimum[j]) / top);
    largest_scale = std::max(largest_scale, scale[j]);
    largest_minimum = std::max(largest_minimum, minimum[j]);
  }
  const float d = to_float(to_f16(largest_scale / 63)), dmin = to_float(to_f16(largest_minimum / 63));
  std::vector<float> result(256);
  for (int j = 0; j < 8; ++j) {
    const float s = d > 0 ? d * std::round(scale[j] / d) : 0, m = dmin > 0 ? dmin * std::round(minimum[j] / dmin) : 0;
    for (int i = 32 * j; i < 32 * j + 32; ++i) result[i] = (s > 0 ? s * std::clamp(std::round((x[i] + m) / s), 0.f, float{top}) : 0) - m;
  }
  return result;
}

}  // namespace

TEST_CASE("the floats that blocks stand for are the reference's, bit for bit") {
  for (const auto format : formats) {
    CAPTURE(std::string(name_of(format)));
    const auto expected = golden_floats(name_of(format) + std::string(".elements"));
    const auto found = dequantized(format, golden_bytes(name_of(format) + std::string(".blocks")));
    REQUIRE(found.size() == expected.size());
    int differ = 0;
    for (std::size_t i = 0; i < found.size(); ++i)
      differ += std::bit_cast<std::uint32_t>(found[i]) != std::bit_cast<std::uint32_t>(expected[i]);
    CHECK(differ == 0);
  }
}

TEST_CASE("the blocks that floats become are the reference's, bit for bit") {
  const auto rows = golden_floats("rows");
  for (const auto format : {DType::q8_0, DType::q4_0, DType::q4_1, DType::q5_0, DType::q5_1}) {
    CAPTURE(std::string(name_of(format)));
    const auto expected = golden_bytes(name_of(format) + std::string(".quantized"));
    const auto found = quantized(format, rows);
    REQUIRE(found.size() == expected.size());
    const auto size = static_cast<std::size_t>(block_bytes(format));
    int differ = 0;
    for (std::size_t at = 0; at < found.size(); at += size) differ += std::memcmp(found.data() + at, expected.data() + at, size) != 0;
    CHECK(differ == 0);
  }
}

TEST_CASE("digits and scales come out of the bytes as they went in") {
  std::mt19937 random(3);
  for (const auto format : formats)
    with_block(format, [&]<class Block>(Block) {
      if constexpr (!std::is_same_v<Block, q8_0>) {
        CAPTURE(std::string(name_of(format)));
        constexpr int n = block_elements(dtype_of<Block>);
        constexpr int digits = format_digits(dtype_of<Block>);
        std::uint8_t digit[n], found[n];
        for (auto& q : digit) q = static_cast<std::uint8_t>(random() % digits);
        Block block{};
        detail::pack_digits(digit, block);
        detail::unpack_digits(block, found);
        CHECK(std::equal(digit, digit + n, found));
      }
    });
  detail::ScaleAndMinimum values[8];
  for (int j = 0; j < 8; ++j) values[j] = {static_cast<int>(random() % 64), static_cast<int>(random() % 64)};
  std::uint8_t bytes[12] = {};
  detail::pack_scales(values, bytes);
  for (int j = 0; j < 8; ++j) {
    CHECK(detail::unpack_scale(bytes, j).scale == values[j].scale);
    CHECK(detail::unpack_scale(bytes, j).minimum == values[j].minimum);
  }
}

TEST_CASE("no element moves further than its format implies") {
  for (const float mean : {0.f, 3.f, -0.5f})
    for (const float deviation : {1e-7f, 0.02f, 1.f, 9000.f}) {
      CAPTURE(mean);
      CAPTURE(deviation);
      const auto x = random_floats(4096, mean, deviation);
      for (const auto format : {DType::q8_0, DType::q4_0, DType::q4_1, DType::q5_0, DType::q5_1}) {
        CAPTURE(std::string(name_of(format)));
        const auto y = dequantized(format, quantized(format, x));
        int beyond = 0;
        for (std::size_t i = 0; i < x.size(); ++i) beyond += std::abs(x[i] - y[i]) > largest_error(format, &x[i / 32 * 32]);
        CHECK(beyond == 0);
      }
    }
}

TEST_CASE("the search finds the scales of floats that a block can hold exactly") {
  std::mt19937 random(5);
  for (const auto format : {DType::q4_k, DType::q5_k, DType::q6_k})
    with_block(format, [&]<class Block>(Block block) {
      if constexpr (block_elements(dtype_of<Block>) == 256) {
        CAPTURE(std::string(name_of(format)));
        constexpr int digits = format_digits(dtype_of<Block>), group = std::is_same_v<Block, q6_k> ? 16 : 32;
        std::uint8_t digit[256];
        for (auto& q : digit) q = static_cast<std::uint8_t>(random() % digits);
        for (int i = 0; i < 256; i += group) {  // every group reaches both ends
          digit[i] = 0;
          digit[i + 1] = digits - 1;
        }
        detail::pack_digits(digit, block);
        block.d = to_f16(0.0123f);
        if constexpr (std::is_same_v<Block, q6_k>) {
          for (int j = 0; j < 16; ++j) block.scales[j] = static_cast<std::int8_t>(j == 5 ? -128 : 20 * j - 125);
        } else {
          block.dmin = to_f16(0.07f);
          detail::ScaleAndMinimum values[8];
          for (int j = 0; j < 8; ++j) values[j] = {j == 3 ? 63 : 12 + 5 * j, j == 6 ? 63 : 9 * j};
          detail::pack_scales(values, block.scales);
        }
        float x[256], y[256];
        dequantize(block, x);
        Block found;
        quantize(x, found);
        dequantize(found, y);
        float largest = 0;
        for (int i = 0; i < 256; ++i) largest = std::max(largest, std::abs(x[i] - y[i]));
        CHECK(largest < 1e-5f);
      }
    });
}

TEST_CASE("the search errs less than scales that span the range of each group") {
  for (const auto format : {DType::q4_k, DType::q5_k}) {
    CAPTURE(std::string(name_of(format)));
    for (const float mean : {0.f, 0.01f, -0.05f}) {
      CAPTURE(mean);
      const auto x = random_floats(256 * 64, mean, 0.02f);
      const auto y = dequantized(format, quantized(format, x));
      double searched = 0, plain = 0;
      for (std::size_t at = 0; at < x.size(); at += 256) {
        const auto z = format == DType::q4_k ? plainly_quantized<16>(&x[at]) : plainly_quantized<32>(&x[at]);
        searched += squared_distance(&x[at], &y[at], 256);
        plain += squared_distance(&x[at], z.data(), 256);
      }
      CHECK(searched < 0.95 * plain);
    }
  }
  const auto x = random_floats(256 * 64, 0, 0.02f);
  const auto y = dequantized(DType::q6_k, quantized(DType::q6_k, x));
  double plain = 0;  // half a step at most, uniformly: a twelfth of its square
  for (std::size_t at = 0; at < x.size(); at += 16) {
    float magnitude = 0;
    for (std::size_t i = at; i < at + 16; ++i) magnitude = std::max(magnitude, std::abs(x[i]));
    plain += 16 * magnitude / 32 * magnitude / 32 / 12;
  }
  CHECK(squared_distance(x.data(), y.data(), static_cast<long>(x.size())) < plain);
}

TEST_CASE("zeros stay zeros, and weights too small for an f16 scale become zeros") {
  for (const auto format : formats) {
    CAPTURE(std::string(name_of(format)));
    for (const float value : {0.f, -0.f, 1e-30f, 1e-45f}) {
      const std::vector<float> x(256, value);
      for (const float y : dequantized(format, quantized(format, x))) CHECK(std::abs(y) < 1e-20f);
    }
  }
}

TEST_CASE("plain formats round to nearest even, at any address") {
  const std::vector<float> x = {1, -2.5f, 1.00390625f, 1.01171875f, 65504, 3e-6f};
  for (const auto format : {DType::f32, DType::bf16, DType::f16}) {
    CAPTURE(std::string(name_of(format)));
    std::vector<std::byte> bytes(1 + x.size() * static_cast<std::size_t>(bytes_of(format)));
    quantize_row(x.data(), static_cast<long>(x.size()), format, bytes.data() + 1);
    std::vector<float> y(x.size());
    dequantize_row(format, bytes.data() + 1, static_cast<long>(x.size()), y.data());
    for (std::size_t i = 0; i < x.size(); ++i)
      CHECK(y[i] == (format == DType::f32 ? x[i] : format == DType::bf16 ? to_float(to_bf16(x[i])) : to_float(to_f16(x[i]))));
  }
}

TEST_CASE("rows that are no whole blocks, and formats that are none, are refused") {
  std::vector<float> x(256);
  std::vector<std::byte> bytes(1024);
  CHECK(missing(error_of([&] { quantize_row(x.data(), 33, DType::q4_0, bytes.data()); }), {"q4_0", "multiple of 32", "found 33"}) == "");
  CHECK(missing(error_of([&] { dequantize_row(DType::q6_k, bytes.data(), 128, x.data()); }), {"q6_k", "multiple of 256", "found 128"}) ==
        "");
  CHECK(missing(error_of([&] { quantize_row(x.data(), 32, DType::any_block, bytes.data()); }), {"block format", "found any_block"}) == "");
  CHECK(missing(error_of([&] { dequantize_row(DType::i32, bytes.data(), 32, x.data()); }), {"floating-point", "found i32"}) == "");
}
