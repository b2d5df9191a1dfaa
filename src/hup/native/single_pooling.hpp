// What was counted pooled with what the profile says; see hup.nn.pooling.Pool. The twin is SingleMixture of
// hup.models.hup.mixture.single.answer.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "coarse.hpp"
#include "products.hpp"
#include "simd.hpp"
#include "single_counted.hpp"
#include "single_similar.hpp"

namespace hup {

// What of a session the vocabulary of a level lacks, (U,) each.
struct Own {
    std::vector<int64_t> visit, code, parent;
    std::vector<float> counted, liking, probability;

    int64_t count() const { return int64_t(code.size()); }
};

constexpr float DAMPED = 0.5f;  // is added to every count of popularity
constexpr float SEEN = 1e-5f;   // share that is worth an exact liking

// What the profile brings in, beside what was counted.
struct Brought {
    float rest = 1;        // weight of what was counted
    float dense = 0;       // what exp(liking - top) * (runs + DAMPED) is multiplied by
    float top = 0;         // greatest liking
    Followed similar;      // shares of what followed similar profiles, weighed

    // Share of dense in what is liked so much and was visited so often.
    float fits(float liking, float runs) const { return dense * (runs + DAMPED) * std::exp(liking - top); }
};

// What E is multiplied by before it is raised: its share of the mass, over what it sums to.
inline float dense_scale(const Weights& weights, double mass, double total) {
    return total > TINY ? float(weights.dense * mass / total) : 0.0f;
}

constexpr int64_t BLOCK = 1024;  // of sums in single precision

// How a profile likes the codes of a level: products with their vectors, nearly right where these are coarse.
class Likings {
  public:
    Likings(const LevelTables& level, const float* profile) : level_(level), profile_(profile) {
        if (level.coarse.numbers) coarse_ = CoarseFactor(profile, level.targets.size);
    }

    // Those from one code, the first of a block, to before another; there is room for a whole block.
    void of(int64_t low, int64_t high, float* to) const {
        const int64_t size = level_.targets.size;
        if (level_.coarse.numbers) {
            coarse_product(level_.coarse, low, high, coarse_, to);
        } else {
            std::fill_n(to, high - low, 0.0f);
            add_product(level_.vectors + low * size, high - low, size, size, profile_, to);
        }
    }

  private:
    const LevelTables& level_;
    const float* profile_;
    CoarseFactor coarse_;
};

// The greatest liking of a block.
inline float greatest(const float* liking) {
    Floats most = all(NEVER);
    for (int64_t i = 0; i < BLOCK; i += WIDTH) most = larger(most, load(liking + i));
    float top = NEVER;
    for (int one = 0; one < WIDTH; ++one) top = std::max(top, most[one]);
    return top;
}

// Calls `look(low, high)` for blocks of n, whose sums are taken in single precision each.
template <class Look>
void by_blocks(int64_t n, Look look) {
    for (int64_t low = 0; low < n; low += BLOCK) look(low, std::min(n, low + BLOCK));
}

// What was counted of one level, `counted`, becomes what both say together, `known`, but for a factor. `mass` is what it
// summed to, `current` as for count_in. `known` may be `counted`, unless likings are coarse.
class Pooling {
  public:
    Pooling(const LevelTables& level, const Weights& weights, const float* profile, int64_t current, double mass,
            const float* counted, float* known, Brought& brought)
        : level_(level), weights_(weights), profile_(profile), current_(current), mass_(mass), counted_(counted),
          known_(known), brought_(brought), liking_(room((level.size + BLOCK - 1) / BLOCK * BLOCK)) {
        brought_.rest = 1 - weights.dense - weights.similar;
    }

    // Works out all likings, and from them what E is multiplied by. Exponentials are of what is left of the greatest
    // liking so far, so that these are gone through once, while they are near to the processor.
    void like(const Own& own) {
        float top = NEVER;
        for (const float one : own.liking) top = std::max(top, one);
        for (const float one : own.liking) total_ += DAMPED * std::exp(one - top);
        const Likings likings(level_, profile_);
        by_blocks(level_.size, [&](int64_t low, int64_t high) {
            float* block = liking_.data() + low;
            likings.of(low, high, block);
            std::fill(block + (high - low), block + BLOCK, NEVER);
            if (low <= current_ && current_ < high) of_current_ = std::exchange(block[current_ - low], NEVER);
            const float most = greatest(block);
            if (most > top) total_ *= std::exp(std::exchange(top, most) - most);
            Floats part = all(0.0f);
            for (int64_t i = low; i < high; i += WIDTH)
                part += exp(load(liking_.data() + i) - all(top)) * (runs(i) + all(DAMPED));
            total_ += sum(part);
        });
        brought_.top = top == NEVER ? 0 : top;
        brought_.dense = dense_scale(weights_, mass_, total_);
    }

    // Adds E to what was counted, and raises both.
    void put_together() {
        const float base_of_current = current_ < 0 ? 0.0f : counted_[current_];
        by_blocks(level_.size, [&](int64_t low, int64_t high) {
            Floats part = all(0.0f), dense_part = all(0.0f);
            for (int64_t i = low; i < high; i += WIDTH) {
                const auto [dense, raised] = said(i);
                const Floats counted = load(counted_ + i, left(i));
                const Floats both = (counted * all(brought_.rest) + dense * all(brought_.dense)) * raised;
                store(known_ + i, both, left(i));
                part += both;
                dense_part += dense * raised;
            }
            sums_ += sum(part);
            dense_sum_ += sum(dense_part);
        });
        if (current_ < 0) return;
        known_[current_] = base_of_current * brought_.rest * raised(of_current_);
        sums_ += known_[current_];
    }

    // Weighs what followed similar profiles, and adds it, raised.
    void add_similar(const SimilarTables& tables) {
        Followed& similar = brought_.similar = followed(tables, profile_, current_);
        const float weight = float(weights_.similar * mass_);
        const int64_t n = int64_t(similar.code.size());
        for (int64_t low = 0; low < n; low += WIDTH) {
            const int some = int(std::min<int64_t>(WIDTH, n - low));
            Floats above = all(0.0f);
            for (int one = 0; one < some; ++one) above[one] = liking_[similar.code[low + one]] - brought_.top;
            const Floats raised = exp(above * all(weights_.strength));
            for (int one = 0; one < some; ++one) {
                const float more = (similar.share[low + one] *= weight) * raised[one];
                known_[similar.code[low + one]] += more;
                sums_ += more;
            }
        }
    }

    // Works likings that are coarse out anew, for all that has a share of some weight. Of less likely codes no one sees
    // the error, which is about a hundredth of so little.
    void refine() {
        const std::vector<Likely>& likely = find_likely();
        thread_local std::vector<float> again;
        again.clear();
        const int64_t d = level_.targets.size, n = int64_t(likely.size());
        constexpr int64_t AHEAD = 16;  // vectors lie far apart, and memory is slow to find them
        for (int64_t place = 0; place < n; ++place) {
            prefetch(level_.vectors + likely[std::min(place + AHEAD, n - 1)].code * d, d);
            const auto& [code, dense, raised] = likely[place];
            again.push_back(dot(level_.vectors + code * d, profile_, d));
            total_ += double(std::exp(again.back() - brought_.top)) * (level_.runs[code] + DAMPED) - dense;
        }
        const float before = brought_.dense;
        brought_.dense = dense_scale(weights_, mass_, total_);
        sums_ += (double(brought_.dense) - before) * dense_sum_;
        for (int64_t place = 0; place < n; ++place) {
            const auto& [code, dense, raised_before] = likely[place];
            const float base = counted_[code] * brought_.rest, anew = raised(again[place]);
            const float similar = known_[code] - (base + dense * before) * raised_before;
            const float both =
                (base + brought_.fits(again[place], level_.runs[code])) * anew + similar * (anew / raised_before);
            sums_ += double(both) - known_[code] - double(brought_.dense - before) * dense * raised_before;
            known_[code] = both;
        }
    }

    // Pools what the session has beyond the vocabulary, and gives what all of it is to be multiplied by.
    double with_own(Own& own) {
        for (int64_t one = 0; one < own.count(); ++one) {
            const float both = own.counted[one] * brought_.rest + brought_.fits(own.liking[one], 0);
            own.probability[one] = both * raised(own.liking[one]);
            sums_ += own.probability[one];
        }
        return mass_ / std::max(sums_, double(TINY));
    }

  private:
    struct Likely {
        int64_t code;
        float dense, raised;  // by a coarse liking
    };

    static std::vector<float>& room(int64_t n) {
        thread_local std::vector<float> liking;
        liking.resize(n);
        return liking;
    }

    const std::vector<Likely>& find_likely() const {
        thread_local std::vector<Likely> likely;
        likely.clear();
        const float least = float(sums_) * SEEN;
        for (int64_t i = 0; i < level_.size; i += WIDTH) {
            const Floats of = load(known_ + i, left(i));
            if (!any(of > all(least))) continue;
            const Said each = said(i);
            for (int one = 0; one < left(i); ++one)
                if (of[one] > least && i + one != current_) likely.push_back({i + one, each.dense[one], each.raised[one]});
        }
        return likely;
    }

    // What is made of WIDTH likings from one code on. It is cheaper to work it out again than to keep it.
    struct Said {
        Floats dense, raised;  // E but for its factor, and what everything is raised by
    };
    Said said(int64_t i) const {
        const Floats above = load(liking_.data() + i) - all(brought_.top);
        return {exp(above) * (runs(i) + all(DAMPED)), exp(above * all(weights_.strength))};
    }
    float raised(float liking) const { return std::exp((liking - brought_.top) * weights_.strength); }

    Floats runs(int64_t i) const { return load(level_.runs + i, left(i)); }
    int left(int64_t i) const { return int(std::min<int64_t>(WIDTH, level_.size - i)); }

    const LevelTables& level_;
    const Weights& weights_;
    const float* profile_;
    const int64_t current_;
    const double mass_;
    const float* counted_;
    float* known_;
    Brought& brought_;
    std::vector<float>& liking_;
    float of_current_ = 0;
    double total_ = 0, sums_ = 0, dense_sum_ = 0;  // of E but for its factor, of `known`, and of the former, raised
};

}  // namespace hup
