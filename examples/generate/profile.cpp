#include "profile.hpp"

#include <weft/cpu/profile_report.hpp>

std::vector<std::int32_t> ids_to_profile(long count, long vocab) {
  std::vector<std::int32_t> ids(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::int32_t>(static_cast<long>(i) * 37 % vocab);
  return ids;
}

namespace {

std::string table(const std::string& title, const weft::cpu::Profile& profile, const weft::cpu::Peaks& peaks, long steps) {
  return title + ", mean of " + std::to_string(steps) + "\n" + weft::cpu::table_of(weft::cpu::rows_of(profile), peaks, steps);
}

}  // namespace

std::string profile_of(weft::LanguageModel& model, weft::Session& session, std::span<const std::int32_t> prompt) {
  constexpr long most_prefills = 5, prefill_nanoseconds = 2'000'000'000;
  const weft::cpu::Peaks peaks = model.measure_peaks();
  std::vector<float> logits(static_cast<std::size_t>(session.vocab()));
  weft::cpu::Profile prefill, decode;
  session.forward(prompt, logits);

  const long end = weft::cpu::nanoseconds_now() + prefill_nanoseconds;
  long prefills = 0;
  model.record(&prefill);
  for (; prefills == 0 || (prefills < most_prefills && weft::cpu::nanoseconds_now() < end); ++prefills) {
    session.reset();
    session.forward(prompt, logits);
  }
  model.record(nullptr);

  const auto next = prompt.first(1);
  session.forward(next, logits);
  model.record(&decode);
  for (long i = 0; i < profile_decode_steps; ++i) session.forward(next, logits);
  model.record(nullptr);

  const std::string tokens = std::to_string(prompt.size());
  return "roofline of " + std::to_string(model.threads()) + " threads, measured now: " + weft::cpu::text_of(peaks) + "\n\n" +
         table("prefill of " + tokens + " tokens", prefill, peaks, prefills) + "\n" +
         table("decode of 1 token after " + tokens, decode, peaks, profile_decode_steps);
}
