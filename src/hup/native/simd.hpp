// Eight floats at a time, in the compiler's own vector types: AVX2 where it is there, and right everywhere.
#pragma once

#include <cstdint>
#include <cstring>

namespace hup {

typedef float Floats __attribute__((vector_size(32)));
typedef int32_t Ints __attribute__((vector_size(32)));
constexpr int WIDTH = 8;

inline Floats all(float x) { return Floats{x, x, x, x, x, x, x, x}; }

inline Floats load(const float* from) {
    Floats x;
    std::memcpy(&x, from, sizeof x);
    return x;
}

inline void store(float* to, Floats x) { std::memcpy(to, &x, sizeof x); }

// The first n of eight, zeros behind them. Nearly always all of them, which is one instruction; then half of them.
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

inline Floats larger(Floats x, Floats y) { return x > y ? x : y; }

// What is not a number stays so.
inline Floats at_most(Floats x, float bound) { return all(bound) < x ? all(bound) : x; }
inline Floats at_least(Floats x, float bound) { return all(bound) > x ? all(bound) : x; }

inline bool any(Ints mask) {
    int64_t parts[4];
    std::memcpy(parts, &mask, sizeof parts);
    return (parts[0] | parts[1] | parts[2] | parts[3]) != 0;
}

inline float sum(Floats x) {
    return ((x[0] + x[4]) + (x[1] + x[5])) + ((x[2] + x[6]) + (x[3] + x[7]));
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
