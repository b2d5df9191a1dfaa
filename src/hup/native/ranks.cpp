// How many scores of a session are at least as high as one of them: of dot products that are never stored, and of rows.
// Beside each count stands the sum of all scores that were looked at, which is NaN if one of them is.
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#include "simd.hpp"

using namespace hup;

namespace {

constexpr int SESSIONS = 2 * WIDTH;     // of a group: a lane each
constexpr int CODES = 6;                // of a tile: with two registers each they fill the processor's sixteen
constexpr int64_t BLOCK_BYTES = 16384;  // of vectors that stay in the nearest cache while all sessions go over them

// Sessions' vectors, (n, d), in groups of lanes: (groups, d, SESSIONS), zeros behind the last.
std::vector<float> in_groups(const float* profiles, int64_t n, int64_t d) {
    std::vector<float> groups((n + SESSIONS - 1) / SESSIONS * SESSIONS * d);
    for (int64_t i = 0; i < n; i++) {
        float* group = groups.data() + i / SESSIONS * SESSIONS * d;
        for (int64_t k = 0; k < d; k++) group[k * SESSIONS + i % SESSIONS] = profiles[i * d + k];
    }
    return groups;
}

// Scores of N codes for a group of sessions. All scores come from here, so that each is rounded in one way.
template <int N>
inline void score(const float* group, const float* vectors, const float* bias, int64_t d, Floats (&said)[N][2]) {
    for (int code = 0; code < N; code++) said[code][0] = said[code][1] = all(0.0f);
    for (int64_t k = 0; k < d; k++) {
        const Floats first = load(group + k * SESSIONS), second = load(group + k * SESSIONS + WIDTH);
        for (int code = 0; code < N; code++) {
            const Floats one = all(vectors[code * d + k]);
            said[code][0] += first * one;
            said[code][1] += second * one;
        }
    }
    if (bias)
        for (int code = 0; code < N; code++)
            for (int half = 0; half < 2; half++) said[code][half] = said[code][half] + all(bias[code]);
}

// Counts N codes against what each session of a group wants.
template <int N>
inline void count(const float* group, const float* vectors, const float* bias, int64_t d, const Floats* wanted,
                  Ints* found, Floats* sum) {
    Floats said[N][2];
    score<N>(group, vectors, bias, d, said);
    for (int code = 0; code < N; code++)
        for (int half = 0; half < 2; half++) {
            found[half] -= said[code][half] >= wanted[half];  // true is -1
            sum[half] += said[code][half];
        }
}

// Runs work(thread) on so many threads at once, the caller's among them.
template <typename Work>
void at_once(int threads, const Work& work) {
    std::vector<std::thread> others;
    for (int thread = 1; thread < threads; thread++) others.emplace_back(work, thread);
    work(0);
    for (auto& other : others) other.join();
}

// Numbers of 32 bytes, and what comparing them gives.
template <typename Float>
struct Wide;
template <>
struct Wide<float> {
    typedef Floats Numbers;
    typedef Ints Truths;
};
template <>
struct Wide<double> {
    typedef double Numbers __attribute__((vector_size(32)));
    typedef int64_t Truths __attribute__((vector_size(32)));
};

template <typename Float>
void row(const Float* values, const uint8_t* mask, Float score, int64_t n, int64_t* count, Float* sum) {
    using Numbers = typename Wide<Float>::Numbers;
    using Truths = typename Wide<Float>::Truths;
    constexpr int64_t LANES = sizeof(Numbers) / sizeof(Float), STEP = 4 * LANES;
    Numbers wanted, sums[4] = {};
    Truths counts[4] = {};
    for (int lane = 0; lane < LANES; lane++) wanted[lane] = score;
    int64_t i = 0;
    for (; i + STEP <= n; i += STEP)
        for (int part = 0; part < 4; part++) {
            Numbers some;
            std::memcpy(&some, values + i + part * LANES, sizeof some);
            Truths here = some >= wanted;  // true is -1
            if (mask)
                for (int lane = 0; lane < LANES; lane++) here[lane] &= -mask[i + part * LANES + lane];
            counts[part] -= here;
            sums[part] += some;
        }
    *count = 0;
    *sum = 0;
    for (int part = 0; part < 4; part++)
        for (int lane = 0; lane < LANES; lane++) {
            *count += counts[part][lane];
            *sum += sums[part][lane];
        }
    for (; i < n; i++) {
        *count += values[i] >= score && (!mask || mask[i]);
        *sum += values[i];
    }
}

template <typename Float>
void rows(const Float* values, int64_t stride, const uint8_t* mask, const Float* scores, int64_t n_rows, int64_t n,
          int threads, int64_t* counts, Float* sums) {
    std::atomic<int64_t> next{0};
    at_once(threads, [&](int) {
        for (int64_t i; (i = next++) < n_rows;)
            row(values + i * stride, mask ? mask + i * n : nullptr, scores[i], n, counts + i, sums + i);
    });
}

}  // namespace

extern "C" {

// Scores profile · vector + bias of one code for each session, to the last digit as `count_products` has them.
void products_at(const float* profiles, const float* vectors, const float* bias, const int64_t* codes,
                 int64_t n_sessions, int64_t d, float* scores) {
    const std::vector<float> groups = in_groups(profiles, n_sessions, d);
    for (int64_t i = 0; i < n_sessions; i++) {
        Floats said[1][2];
        score<1>(groups.data() + i / SESSIONS * SESSIONS * d, vectors + codes[i] * d, bias ? bias + codes[i] : nullptr, d,
                 said);
        scores[i] = said[0][i % SESSIONS / WIDTH][i % WIDTH];
    }
}

// Of each session's n scores profile · vector + bias, how many are at least its `score`.
void count_products(const float* profiles, const float* vectors, const float* bias, const float* scores,
                    int64_t n_sessions, int64_t n, int64_t d, int threads, int64_t* counts, float* sums) {
    const std::vector<float> groups = in_groups(profiles, n_sessions, d);
    const int64_t lanes = (n_sessions + SESSIONS - 1) / SESSIONS * SESSIONS;
    std::vector<float> wanted(lanes);
    std::copy(scores, scores + n_sessions, wanted.begin());
    const int64_t vector_bytes = std::max<int64_t>(d, 1) * sizeof(float);
    const int64_t block = std::max<int64_t>(1, BLOCK_BYTES / vector_bytes / CODES) * CODES;
    std::vector<std::vector<int32_t>> found(threads, std::vector<int32_t>(lanes));
    std::vector<std::vector<float>> sum(threads, std::vector<float>(lanes));
    std::atomic<int64_t> next{0};  // threads take blocks as they come: one whose core is shared takes fewer
    at_once(threads, [&](int thread) {
        for (int64_t low; (low = block * next++) < n;) {
            const int64_t high = std::min(n, low + block);
            for (int64_t first = 0; first < lanes; first += SESSIONS) {
                const float* group = groups.data() + first * d;
                const Floats at_least[2] = {load(&wanted[first]), load(&wanted[first + WIDTH])};
                Ints so_far[2];
                Floats total[2];
                std::memcpy(so_far, &found[thread][first], sizeof so_far);
                std::memcpy(total, &sum[thread][first], sizeof total);
                int64_t code = low;
                for (; code + CODES <= high; code += CODES)
                    count<CODES>(group, vectors + code * d, bias ? bias + code : nullptr, d, at_least, so_far, total);
                for (; code < high; code++)
                    count<1>(group, vectors + code * d, bias ? bias + code : nullptr, d, at_least, so_far, total);
                std::memcpy(&found[thread][first], so_far, sizeof so_far);
                std::memcpy(&sum[thread][first], total, sizeof total);
            }
        }
    });
    for (int64_t i = 0; i < n_sessions; i++) {
        counts[i] = 0;
        sums[i] = 0;
        for (int thread = 0; thread < threads; thread++) {
            counts[i] += found[thread][i];
            sums[i] += sum[thread][i];
        }
    }
}

// Of each row of (n_rows, n) values, `stride` apart, how many are at least its `score`; of those in the mask, if any.
void count_rows_float(const float* values, int64_t stride, const uint8_t* mask, const float* scores, int64_t n_rows,
                      int64_t n, int threads, int64_t* counts, float* sums) {
    rows(values, stride, mask, scores, n_rows, n, threads, counts, sums);
}

void count_rows_double(const double* values, int64_t stride, const uint8_t* mask, const double* scores, int64_t n_rows,
                       int64_t n, int threads, int64_t* counts, double* sums) {
    rows(values, stride, mask, scores, n_rows, n, threads, counts, sums);
}

}  // extern "C"
