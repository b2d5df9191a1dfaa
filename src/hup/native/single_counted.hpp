// What was counted says of one level to one user; the twin is hup.models.hup.mixture.single.counted.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "products.hpp"
#include "single_model.hpp"
#include "single_visits.hpp"

namespace hup {

constexpr float NEVER = -1e9f, TINY = 1e-30f;

// In place; gives the sum of the exponentials' shares of what `counts` says takes part, 0 for the others.
inline void softmax(std::vector<float>& scores) {
    float most = -INFINITY;
    for (const float score : scores) most = std::max(most, score);
    double total = 0;
    for (float& score : scores) total += score = std::exp(score - most);
    for (float& score : scores) score = float(score / total);
}

struct Parts {
    float weights[4];            // of repeat, memory, popularity, unseen
    std::vector<float> repeat;   // (P,)
    std::vector<float> memory;   // (P, RELATIONS)
    std::vector<float> support;  // (P, RELATIONS), how much is known of the neighbours of every visit's code
};

inline std::vector<float> scores_of(const Attention& attention, const std::vector<float>& signals, int64_t rows,
                                    int64_t hidden) {
    const int64_t in = int64_t(signals.size()) / rows, out = attention.n_scores;
    std::vector<float> inner(rows * hidden), scores(rows * out), rule(rows * out);
    linear(signals.data(), rows, in, attention.signals, attention.bias, hidden, inner.data());
    size_t i = 0;
    for (; i + WIDTH <= inner.size(); i += WIDTH) store(inner.data() + i, tanh(load(inner.data() + i)));
    for (; i < inner.size(); ++i) inner[i] = std::tanh(inner[i]);
    linear(inner.data(), rows, hidden, attention.score, nullptr, out, scores.data());
    linear(signals.data(), rows, in, attention.rule, nullptr, out, rule.data());
    for (size_t one = 0; one < scores.size(); ++one) scores[one] += rule[one];
    return scores;
}

inline Parts parts_of(const Model& model, const LevelTables& level, const Visits& visits) {
    const int64_t n = visits.count();
    Parts parts;
    parts.support.resize(n * RELATIONS);
    std::vector<float> logs(n * RELATIONS), wide;
    bool any_repeat = false, any_support = false;
    for (int64_t visit = 0; visit < n; ++visit) {
        const int64_t code = visits.code[visit];
        for (int relation = 0; relation < RELATIONS; ++relation) {
            const double counted = code >= 0 && code < level.size ? level.totals[code * RELATIONS + relation] : 0.0;
            const int64_t at = visit * RELATIONS + relation;
            parts.support[at] = counted < 1e-5 ? 0.0f : float(counted);
            logs[at] = std::log1p(parts.support[at]);
            any_support |= parts.support[at] > 0;
        }
        const float* signals = visits.signals.data() + visit * model.n_signals;
        wide.insert(wide.end(), signals, signals + model.n_signals);
        wide.insert(wide.end(), logs.begin() + visit * RELATIONS, logs.begin() + (visit + 1) * RELATIONS);
    }

    const auto may_repeat = [&](int64_t visit) { return level.k > 0 || visits.since(visit) > 0; };
    parts.repeat = scores_of(level.pointer, visits.signals, n, model.hidden);
    for (int64_t visit = 0; visit < n; ++visit) {
        if (!may_repeat(visit)) parts.repeat[visit] = NEVER;
        any_repeat |= may_repeat(visit);
    }
    softmax(parts.repeat);
    for (int64_t visit = 0; visit < n; ++visit)
        if (!may_repeat(visit)) parts.repeat[visit] = 0;

    parts.memory = scores_of(level.neighbors, wide, n, model.hidden);
    for (size_t at = 0; at < parts.memory.size(); ++at)
        if (!(parts.support[at] > 0)) parts.memory[at] = NEVER;
    softmax(parts.memory);
    float supported = 0;
    for (size_t at = 0; at < parts.memory.size(); ++at) {
        if (!(parts.support[at] > 0)) parts.memory[at] = 0;
        supported += parts.memory[at] * logs[at];
    }

    std::vector<float> context = visits.context, inner(level.context_bias, level.context_bias + model.hidden);
    context.push_back(supported / 3);
    const int64_t width = int64_t(context.size());
    add_product(level.context, model.hidden, width, width, context.data(), inner.data());
    for (float& one : inner) one = std::tanh(one);
    std::vector<float> weights(level.part_bias, level.part_bias + 4);
    add_product(level.part, 4, model.hidden, model.hidden, inner.data(), weights.data());
    const bool there[4] = {any_repeat, any_support, true, true};
    for (int part = 0; part < 4; ++part)
        if (!there[part] || !level.has[part]) weights[part] = NEVER;
    softmax(weights);
    std::copy_n(weights.data(), 4, parts.weights);
    return parts;
}

// Calls `look(visit, code, share)` for all that is counted near visits from `first` on, by one relation.
template <class Look>
void for_all_near(const LevelTables& level, const Visits& visits, const Parts& parts, int relation, int64_t first,
                  Look look) {
    const Near& near = level.near[relation];
    for (int64_t visit = first; visit < visits.count(); ++visit) {
        const float support = parts.support[visit * RELATIONS + relation];
        if (!(support > 0)) continue;
        const int64_t code = visits.code[visit];
        const float share = 1 / support;
        for (int64_t at = near.bounds[code]; at < near.bounds[code + 1]; ++at)
            look(visit, int64_t(near.codes[at]), near.counts[at] * share);
    }
}

// What popularity is multiplied by; the item that the user is on has none.
inline float popularity_scale(const LevelTables& level, int64_t current) {
    return current < 0 ? 1.0f : 1 / std::max(1 - level.popularity[current], TINY);
}

// Puts the probabilities of the vocabulary by what was counted into `known`, and gives their sum. `current` is the known
// item that the user is on, -1 at levels of categories and where it is not known.
inline double count_in(const LevelTables& level, const Visits& visits, const Parts& parts, int64_t current,
                       float* known) {
    const float popular = popularity_scale(level, current) * parts.weights[2];
    for (int64_t code = 0; code < level.size; ++code) known[code] = level.popularity[code] * popular;
    double sum = popular * (1.0 - (current < 0 ? 0.0 : level.popularity[current]));
    if (current >= 0) known[current] = 0;
    const auto add = [&](int64_t code, float more) {
        known[code] += more;
        sum += more;
    };
    for (int relation = 0; relation < RELATIONS; ++relation)
        for_all_near(level, visits, parts, relation, 0, [&](int64_t visit, int64_t code, float share) {
            add(code, parts.weights[1] * parts.memory[visit * RELATIONS + relation] * share);
        });
    for (int64_t visit = 0; visit < visits.count(); ++visit) {
        const int64_t code = visits.code[visit];
        if (code >= 0 && code < level.size) add(code, parts.weights[0] * parts.repeat[visit]);
    }
    return sum;
}

}  // namespace hup
