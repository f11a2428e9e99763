// profile: where the time of a prefill step and of a decode step goes, kernel by kernel.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <weft/generate/language_model.hpp>

inline constexpr long profile_decode_steps = 16;  // beside one that warms up

// token ids to profile with where the user gave no prompt
std::vector<std::int32_t> ids_to_profile(long count, long vocab);

// Runs the prompt through an empty session some times, then some decode steps after it; the context must hold the prompt and
// profile_decode_steps + 1 tokens. Tables of measured times beside what the plan predicts.
std::string profile_of(weft::LanguageModel& model, weft::Session& session, std::span<const std::int32_t> prompt);
