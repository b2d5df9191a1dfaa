// Levels as marginals of one distribution; the twin is hup.models.hup.mixture.single.agreement.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "largest.hpp"
#include "logarithm.hpp"
#include "simd.hpp"
#include "single_pooling.hpp"

namespace hup {

constexpr double LEAST = 1e-12;

// Probabilities of one level: those of the vocabulary and of the session's own, all to be multiplied by `scale`.
struct Distribution {
    float* known;
    int64_t size;
    Own* own;
    double scale;

    // Probabilities of a level that is settled.
    void find_likeliest(int64_t most, std::vector<Place>& found) const { largest(known, size, most, found); }
    float of_own(int64_t one) const { return own->probability[one]; }
    void put(int64_t code, int64_t one, float probability) {
        (one < 0 ? known[code] : own->probability[one]) = probability;
    }

    double mass() const {
        double total = sum_of(known, size);
        for (const float one : own->probability) total += one;
        return total * scale;
    }

    // Gives it a mass.
    void settle_at(double wanted) {
        scale *= wanted / std::max(mass(), LEAST);
        settle();
    }

    void settle() {
        for (int64_t i = 0; i < size; ++i) known[i] *= float(scale);
        for (float& one : own->probability) one *= float(scale);
        scale = 1;
    }
};

// Leaves out the item that the user is on; the others share what it had.
inline void leave_out(Distribution& items, int64_t current) {
    if (current < 0) return;
    const double left = 1 - items.known[current] * items.scale;
    items.known[current] = 0;
    items.scale /= std::max(left, 1e-6);
}

// Sums by parent, those that the level above has: of the vocabulary, then of what the session has beyond. In double
// precision, so that what is taken from a sum again leaves nothing behind.
struct Sums {
    std::vector<double> of;  // (above,) and then of what is beyond it
    double without = 0;      // of what has no parent there

    double mass() const {
        double total = without;
        for (const double one : of) total += one;
        return total;
    }
};

// Place among the codes of the level above and what the session has beyond them, -1 = it has no parent there.
inline int64_t place_of(int64_t parent, const Distribution& above) {
    if (parent < above.size) return parent;
    const auto& codes = above.own->code;
    const auto found = std::find(codes.begin(), codes.end(), parent);
    return found == codes.end() ? -1 : above.size + (found - codes.begin());
}

// Sums of a level, but for its scale.
inline Sums sums_by_parent(const Distribution& fine, const int32_t* parents, const Distribution& above) {
    Sums sums{std::vector<double>(above.size + above.own->count(), 0.0)};
    for (int64_t i = 0; i < fine.size; ++i) sums.of[parents[i]] += fine.known[i];
    for (int64_t one = 0; one < fine.own->count(); ++one) {
        const int64_t place = place_of(fine.own->parent[one], above);
        (place < 0 ? sums.without : sums.of[place]) += fine.own->probability[one];
    }
    return sums;
}

// Pools a level with what the finer ones say of it, `said` of the vocabulary and then of what is beyond it, in place.
inline void pool_with(Distribution& level, const std::vector<float>& said, float trust) {
    const double mass = level.mass();
    level.settle();
    const auto together = [&](float* own, const float* other, int64_t n) {
        for (int64_t i = 0; i < n; i += WIDTH) {
            const int left = int(std::min<int64_t>(WIDTH, n - i));
            const Floats x = larger(load(own + i, left), all(float(LEAST)));
            const Floats y = larger(load(other + i, left), all(float(LEAST)));
            store(own + i, exp(log(x) * all(1 - trust) + log(y) * all(trust)), left);
        }
    };
    together(level.known, said.data(), level.size);
    together(level.own->probability.data(), said.data() + level.size, level.own->count());
    level.settle_at(mass);
}

// What the children of every coarser category are multiplied by, and what is without a parent there; places as of Sums.
struct Factors {
    std::vector<float> of;
    float without;

    float at(int64_t place) const { return place < 0 ? without : of[place]; }
};

// Such that the children of each category sum to its probability, and their level has the mass that it had.
inline Factors factors_of(const Sums& sums, const Distribution& above) {
    Factors factors{std::vector<float>(sums.of.size()), 1.0f};
    double after = sums.without;
    for (size_t place = 0; place < sums.of.size(); ++place) {
        const bool inside = int64_t(place) < above.size;
        const float total = inside ? above.known[place] : above.own->probability[place - above.size];
        const float sum = float(sums.of[place]);
        factors.of[place] = sum > 0 && total > 0 ? total / std::max(sum, TINY) : 1.0f;
        after += factors.of[place] * sum;
    }
    factors.without = float(sums.mass() / std::max(after, LEAST));
    for (float& factor : factors.of) factor *= factors.without;
    return factors;
}

// Shares the probability of each coarser category out among its children, in place; factors are for `known` as it is.
inline void share_out(Distribution& level, const Factors& factors, const int32_t* parents, const Distribution& above) {
    for (int64_t i = 0; i < level.size; ++i) level.known[i] *= factors.of[parents[i]];
    for (int64_t one = 0; one < level.own->count(); ++one)
        level.own->probability[one] *= factors.at(place_of(level.own->parent[one], above));
    level.scale = 1;
}

// Multiplies a settled level by how many times what it had its children have, in place; its mass stays.
inline void as_many_times(Distribution& level, const Sums& before, const Sums& after) {
    const double mass = level.mass();
    const auto ratio = [&](int64_t place) {
        return before.of[place] > 0 ? float(after.of[place] / before.of[place]) : 1.0f;
    };
    for (int64_t i = 0; i < level.size; ++i) level.known[i] *= ratio(i);
    for (int64_t one = 0; one < level.own->count(); ++one) level.own->probability[one] *= ratio(level.size + one);
    level.settle_at(mass);
}

// Trust in items of which the likeliest are in their learned order, which is followed so far.
inline float trust_in_order(float trust, float strength) { return std::pow(trust, 1 - strength / 2); }

// One distribution of what the levels say, finest first. There may be very many items, so these are gone through for
// their sums at first, and once at the end; in between they have factors.
class Agreement {
  public:
    Agreement(const Model& model, std::vector<Distribution>& levels)
        : model_(model), levels_(levels), items_(levels[0]) {
        if (levels.size() == 1) {
            items_.settle();
            return;
        }
        for (size_t level = 1; level < levels.size(); ++level) {
            const Distribution& one = levels[level];
            alone_.push_back({{one.known, one.known + one.size}, one.own->probability, one.scale});
        }
        sums_ = sums_by_parent(items_, parents(0), levels[1]);
        factors_ = {std::vector<float>(sums_.of.size(), float(items_.scale)), float(items_.scale)};
    }

    // Agrees on all levels of categories, and on the factors of items.
    void agree(float strength) {
        if (levels_.size() == 1) return;
        for (size_t level = 1; level < levels_.size(); ++level) alone_[level - 1].put_back(levels_[level]);
        const Sums of_items = items_so_far();
        std::vector<float> said(of_items.of.begin(), of_items.of.end());
        for (size_t level = 1; level < levels_.size(); ++level) {
            if (level > 1) {
                const Distribution& below = levels_[level - 1];
                Own beyond = *below.own;
                beyond.probability.assign(said.begin() + below.size, said.end());
                const Sums sums = sums_by_parent({said.data(), below.size, &beyond, 1.0}, parents(level - 1),
                                                 levels_[level]);
                said.assign(sums.of.begin(), sums.of.end());
            }
            pool_with(levels_[level], said, trust_in_order(model_.weights[level].trust, strength));
        }
        for (size_t level = levels_.size() - 1; level-- > 1;) {
            const Distribution& above = levels_[level + 1];
            const Factors factors = factors_of(sums_by_parent(levels_[level], parents(level), above), above);
            share_out(levels_[level], factors, parents(level), above);
        }
        share_out_items(of_items);
    }

    // Lets `move` change the finest level of categories, whose mass stays: items share it out, coarser levels follow.
    template <class Move>
    void move_categories(Move move) {
        const Sums of_items = items_so_far();
        std::vector<Sums> before;
        for (size_t level = 2; level < levels_.size(); ++level) before.push_back(sums_of(level));
        move(levels_[1]);
        for (size_t level = 2; level < levels_.size(); ++level)
            as_many_times(levels_[level], before[level - 2], sums_of(level));
        share_out_items(of_items);
    }

    // Multiplies the items by their factors, once all is agreed.
    void conclude() {
        if (levels_.size() > 1) share_out(items_, factors_, parents(0), levels_[1]);
    }

    // The likeliest items by what is agreed so far.
    void find_likeliest(int64_t most, std::vector<Place>& found) const {
        const bool alone = levels_.size() == 1;
        const auto several = [&](int64_t first) {
            const Floats known = load(items_.known + first);
            return alone ? known : known * gather(factors_.of.data(), parents(0) + first);
        };
        largest(items_.size, most, several, [&](int64_t code) { return of(code); }, found);
    }

    // Probability of an item, or of what the session has beyond the vocabulary.
    float of(int64_t code) const { return items_.known[code] * factor(code, -1); }
    float of_own(int64_t own) const { return items_.own->probability[own] * factor(-1, own); }

    // Gives an item another probability, or what of the session the vocabulary lacks where `own` is not negative.
    void put(int64_t code, int64_t own, float probability) {
        float& kept = own < 0 ? items_.known[code] : items_.own->probability[own];
        const float before = kept;
        kept = probability / std::max(factor(code, own), TINY);
        if (levels_.size() == 1) return;
        const int64_t place = place_of_item(code, own);
        (place < 0 ? sums_.without : sums_.of[place]) += double(kept) - before;
    }

  private:
    // What a level of categories says by itself.
    struct Alone {
        std::vector<float> known, own;
        double scale;

        void put_back(Distribution& level) const {
            std::copy(known.begin(), known.end(), level.known);
            level.own->probability = own;
            level.scale = scale;
        }
    };

    // Sums of items by category, as is agreed so far.
    Sums items_so_far() const {
        Sums sums = sums_;
        for (size_t place = 0; place < sums.of.size(); ++place) sums.of[place] *= factors_.of[place];
        sums.without *= factors_.without;
        return sums;
    }

    // Sums of the level below by the categories of a level.
    Sums sums_of(size_t level) const { return sums_by_parent(levels_[level - 1], parents(level - 1), levels_[level]); }

    void share_out_items(const Sums& of_items) {
        const Factors more = factors_of(of_items, levels_[1]);
        for (size_t place = 0; place < sums_.of.size(); ++place) factors_.of[place] *= more.of[place];
        factors_.without *= more.without;
    }

    const int32_t* parents(size_t level) const { return model_.levels[level].parents; }
    int64_t place_of_item(int64_t code, int64_t own) const {
        return own < 0 ? parents(0)[code] : place_of(items_.own->parent[own], levels_[1]);
    }
    float factor(int64_t code, int64_t own) const {
        return levels_.size() == 1 ? 1.0f : factors_.at(place_of_item(code, own));
    }

    const Model& model_;
    std::vector<Distribution>& levels_;
    Distribution& items_;
    std::vector<Alone> alone_;
    Sums sums_;        // of items as they are kept
    Factors factors_;  // of these, as is agreed so far
};

}  // namespace hup
