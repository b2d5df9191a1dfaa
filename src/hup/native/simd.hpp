// Several floats at a time, in the compiler's own vector types, right everywhere: sixteen where AVX-512 is there, eight
// elsewhere, which is AVX2. Processors with AVX-512 but without its whole numbers of 8 bits slow down when it is used.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace hup {

#if defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512VNNI__)
#define HUP_WIDE 1
constexpr int WIDTH = 16;
#else
constexpr int WIDTH = 8;
#endif

typedef float Floats __attribute__((vector_size(4 * WIDTH)));
typedef int32_t Ints __attribute__((vector_size(4 * WIDTH)));

inline Floats all(float x) { return x - Floats{}; }

inline Floats load(const float* from) {
    Floats x;
    std::memcpy(&x, from, sizeof x);
    return x;
}

inline void store(float* to, Floats x) { std::memcpy(to, &x, sizeof x); }

// Asks memory for n floats that will be wanted soon.
inline void prefetch(const float* from, int64_t n) {
    constexpr int64_t LINE = 16;
    for (int64_t at = 0; at < n; at += LINE) __builtin_prefetch(from + at);
}

// from[at[0]], from[at[1]], ...
inline Floats gather(const float* from, const int32_t* at) {
    Floats x;
    for (int one = 0; one < WIDTH; ++one) x[one] = from[at[one]];
    return x;
}

#if defined(HUP_WIDE)
// The first n, at most all of them, zeros behind them.
inline Floats load(const float* from, int n) { return Floats(_mm512_maskz_loadu_ps((1u << n) - 1, from)); }

inline void store(float* to, Floats x, int n) { _mm512_mask_storeu_ps(to, (1u << n) - 1, __m512(x)); }
#else
// The first n, zeros behind them. Nearly always all of them, which is one instruction; then half of them.
inline Floats load(const float* from, int n) {
    if (__builtin_expect(n == WIDTH, 1)) return load(from);
    Floats x = all(0.0f);
    if (n == WIDTH / 2) std::memcpy(&x, from, sizeof x / 2);
    else for (int at = 0; at < n; ++at) x[at] = from[at];
    return x;
}

inline void store(float* to, Floats x, int n) {
    if (__builtin_expect(n == WIDTH, 1)) return store(to, x);
    if (n == WIDTH / 2) std::memcpy(to, &x, sizeof x / 2);
    else for (int at = 0; at < n; ++at) to[at] = x[at];
}
#endif

inline Floats larger(Floats x, Floats y) { return x > y ? x : y; }

// What is not a number stays so.
inline Floats at_most(Floats x, float bound) { return all(bound) < x ? all(bound) : x; }
inline Floats at_least(Floats x, float bound) { return all(bound) > x ? all(bound) : x; }

inline bool any(Ints mask) {
#if defined(HUP_WIDE)
    return _mm512_test_epi32_mask(__m512i(mask), __m512i(mask)) != 0;
#else
    constexpr int PARTS = WIDTH / 2;
    int64_t parts[PARTS], one = 0;
    std::memcpy(parts, &mask, sizeof parts);
    for (int at = 0; at < PARTS; ++at) one |= parts[at];
    return one != 0;
#endif
}

inline float sum(Floats x) {
    float left[WIDTH];
    std::memcpy(left, &x, sizeof left);
    for (int half = WIDTH / 2; half; half /= 2)
        for (int at = 0; at < half; ++at) left[at] += left[at + half];
    return left[0];
}

// e^x to about 2 units in the last place: 2^n times a polynomial in what is left of x. Below -87.3 it gives 1e-38, the
// least normal number.
inline Floats exp(Floats x) {
    x = at_most(at_least(x, -87.33f), 88.37f);
    const Floats magic = all(12582912.0f);  // 1.5 * 2^23: adding it rounds to whole numbers
    const Floats n = (x * all(1.44269504f) + magic) - magic;
    const Floats r = (x - n * all(0.693359375f)) - n * all(-2.12194440e-4f);
    Floats p = all(1.9875691500e-4f);
    p = p * r + all(1.3981999507e-3f);
    p = p * r + all(8.3334519073e-3f);
    p = p * r + all(4.1665795894e-2f);
    p = p * r + all(1.6666665459e-1f);
    p = p * r + all(5.0000001201e-1f);
    p = p * r * r + r + all(1.0f);
    const Ints power = (__builtin_convertvector(n, Ints) + 127) << 23;
    Floats scale;
    std::memcpy(&scale, &power, sizeof scale);
    return p * scale;
}

inline Floats sigmoid(Floats x) { return all(1.0f) / (all(1.0f) + exp(-x)); }

// Piecewise linear: clip(0.2 x + 0.5, 0, 1).
inline Floats hard_sigmoid(Floats x) {
    return at_most(at_least(all(0.2f) * x + all(0.5f), 0.0f), 1.0f);
}

inline Floats tanh(Floats x) { return all(1.0f) - all(2.0f) / (exp(x + x) + all(1.0f)); }

}  // namespace hup
