// The likeliest codes of a level ranked anew; the twin is hup.models.hup.mixture.single.reranking.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "largest.hpp"
#include "logarithm.hpp"
#include "products.hpp"
#include "single_agreement.hpp"
#include "single_counted.hpp"
#include "single_pooling.hpp"

namespace hup {

constexpr int64_t LATEST = 20;  // visits whose neighbours are looked at
constexpr int WEIGHINGS = 4;    // of them: current, one before, recent, all
constexpr float LEAST_PROBABILITY = 1e-9f, LEAST_REPEAT = 1e-3f, LEAST_SHARE = 1e-4f, SPAN = 4.0f;

// For every known code its place in a list, -1 = it is not there.
class Slots {
  public:
    Slots(int64_t size, const std::vector<int64_t>& codes) : codes_(codes), size_(size), slots_(all_free(size)) {
        for (size_t at = 0; at < codes.size(); ++at)
            if (inside(codes[at])) slots_[codes[at]] = int32_t(at);
    }
    Slots(const Slots&) = delete;
    ~Slots() {
        for (const int64_t code : codes_)
            if (inside(code)) slots_[code] = -1;
    }
    int32_t operator[](int64_t code) const { return inside(code) ? slots_[code] : -1; }

  private:
    bool inside(int64_t code) const { return code >= 0 && code < size_; }
    static int32_t* all_free(int64_t size) {
        thread_local std::vector<int32_t> slots;
        if (int64_t(slots.size()) < size) slots.resize(size, -1);
        return slots.data();
    }
    const std::vector<int64_t>& codes_;
    const int64_t size_;
    int32_t* const slots_;
};

// Codes of the vocabulary, or what the session has beyond it: then `own` tells which of these, else it is -1.
struct Candidates {
    std::vector<int64_t> code, own;
    std::vector<float> probability;

    int64_t count() const { return int64_t(code.size()); }
};

// The likeliest codes but the item that the user is on, which has no probability in the vocabulary, -1 = none such; of
// equal ones those that stand first, the vocabulary before what is beyond it. `said` is what is agreed of the level.
// Gives the sum of their probabilities.
template <class Said>
double find_likeliest(int64_t size, int64_t most, int64_t item, const Said& said, const Own& own, Candidates& found) {
    thread_local std::vector<Place> best;
    said.find_likeliest(most, best);
    const size_t n = best.size();
    for (int64_t one = 0; one < own.count(); ++one)
        best.push_back({own.code[one] == item ? 0.0f : said.of_own(one), size + one});
    if (best.size() > n) std::partial_sort(best.begin(), best.begin() + n, best.end(), comes_before);
    best.resize(n);
    double total = 0;
    for (const Place& one : best) {
        const int64_t beyond = one.at < size ? -1 : one.at - size;
        found.code.push_back(beyond < 0 ? one.at : own.code[beyond]);
        found.own.push_back(beyond);
        found.probability.push_back(one.value);
        total += one.value;
    }
    return total;
}

// What the profile says of codes, and what was counted before it did, (n,).
struct Pooled {
    const float *profile, *counted;
    const Brought* brought;

    // Logarithms of the parts that are pooled, but for `followed` of the third, and the liking.
    void of(const LevelTables& level, const Own& own, int64_t code, int64_t beyond, int64_t current, float followed,
            float* to) const {
        const int64_t d = level.targets.size;
        const float liking = beyond < 0 ? dot(level.vectors + code * d, profile, d) : own.liking[beyond];
        const float fits = brought->fits(liking, beyond < 0 ? level.runs[code] : 0.0f);
        const float base = beyond < 0 ? counted[code] : own.counted[beyond];
        for (const float part : {brought->rest * base, code == current ? 0.0f : fits, followed})
            *to++ = std::log(std::max(part, LEAST_PROBABILITY));
        *to = liking;
    }
};

// What there is to see of candidates of a level. `item` is the one that the user is on, `current` the same where it is
// known; at levels of categories both are -1. Without a profile `pooled` is null.
struct View {
    const Model& model;
    const LevelTables& level;
    const Question& asked;
    const Visits& visits;
    const Parts& parts;
    const Own& own;
    int64_t item, current;
    const Pooled* pooled;

    // Categories that are compared: of a category it is the last one of them.
    int64_t n_categories() const { return level.k ? level.k : model.n_categories; }
    const int64_t* path(int64_t visit) const { return asked.categories + visits.run[visit] * model.n_categories; }
};

// Weights of the visits that sum to 1, the later ones weighing more.
inline std::vector<double> by_recency(const Visits& visits) {
    std::vector<double> weight(visits.count());
    double total = 0;
    for (int64_t one = 0; one < visits.count(); ++one) total += weight[one] = 1 / double(1 + visits.since(one));
    for (double& one : weight) one /= total;
    return weight;
}

// Of every category level, coarsest first: whether a candidate is of the current category, and the share of its own in
// the visits.
inline void of_categories(const View& view, const std::vector<double>& weight, int64_t code, int64_t visit, float* to) {
    const Model& model = view.model;
    const int64_t last = view.visits.count() - 1;
    const bool inside = code < view.level.size;
    int64_t category = code;
    for (int64_t k = view.n_categories(); k-- > 0;) {
        if (k + 1 != view.level.k)  // else it is the category itself
            category = inside ? model.levels[model.n_categories - 1 - k].parents[category] : view.path(visit)[k];
        double share = 0;
        for (int64_t one = 0; one <= last; ++one)
            if (view.path(one)[k] == category) share += weight[one];
        to[2 * k] = view.path(last)[k] == category;
        to[2 * k + 1] = float(share);
    }
}

// What is seen of candidates, (M, n_signals); see SIGNALS, CATEGORY and POOLED of hup.models.hup.mixture.reranking.
inline std::vector<float> signals_of(const View& view, const Candidates& found) {
    const auto& [model, level, asked, visits, parts, own, item, current, pooled] = view;
    const int64_t n = found.count(), width = level.reranker->n_signals;
    constexpr int SHARES = WEIGHINGS * RELATIONS;
    constexpr int LOGS = 4 + SHARES;  // of the first columns all but one are logarithms
    const Slots slots(level.size, found.code);
    std::vector<float> shares(n * SHARES, 0.0f), heads(n * LOGS);
    for (int relation = 0; relation < RELATIONS; ++relation)
        for_all_near(level, visits, parts, relation, std::max<int64_t>(0, visits.count() - LATEST),
                     [&](int64_t visit, int64_t code, float share) {
                         const int32_t slot = slots[code];
                         if (slot < 0) return;
                         const int64_t since = visits.since(visit);
                         float* to = shares.data() + slot * SHARES + relation;
                         if (since < 2) to[since * RELATIONS] += share;
                         to[2 * RELATIONS] += share / float(1 + since);
                         to[3 * RELATIONS] += share;
                     });

    std::vector<int64_t> visit_on(n, -1);
    for (int64_t visit = 0; visit < visits.count(); ++visit)
        if (slots[visits.code[visit]] >= 0) visit_on[slots[visits.code[visit]]] = visit;
    for (int64_t at = 0; at < n; ++at) {
        if (found.own[at] >= 0) visit_on[at] = own.visit[found.own[at]];
        float* to = heads.data() + at * LOGS;
        to[0] = std::max(found.probability[at], LEAST_PROBABILITY);
        to[1] = 1;  // popularity is there as a logarithm
        to[2] = (visit_on[at] < 0 ? 0.0f : parts.repeat[visit_on[at]]) + LEAST_REPEAT;
        to[3] = 1;
        for (int one = 0; one < SHARES; ++one) to[4 + one] = shares[at * SHARES + one] + LEAST_SHARE;
    }
    take_logs(heads.data(), n * LOGS);

    const float* support = parts.support.data() + (visits.count() - 1) * RELATIONS;  // of the current code
    std::vector<float> of_all;
    for (int relation = 0; relation < RELATIONS; ++relation) of_all.push_back(std::log1p(support[relation]));
    for (const float weight : parts.weights) of_all.push_back(std::log(std::max(weight, LEAST_SHARE)));
    std::vector<float> signals(n * width, 0.0f);
    const std::vector<double> weight = by_recency(visits);
    for (int64_t at = 0; at < n; ++at) {
        const int64_t visit = visit_on[at];
        float* to = std::copy_n(heads.data() + at * LOGS, LOGS, signals.data() + at * width);
        to[1 - LOGS] = found.own[at] < 0 ? level.log_popularity[found.code[at]] : std::log(DAMPED);
        to[3 - LOGS] = visit >= 0;
        for (int relation = 0; relation < RELATIONS; ++relation)
            *to++ = std::log1p(shares[at * SHARES + relation] * support[relation]);
        to = std::copy(of_all.begin(), of_all.end(), to);
        if (visit >= 0) std::copy_n(visits.signals.data() + visit * model.n_signals, model.n_signals, to);
        to = std::copy(visits.context.begin(), visits.context.end(), to + model.n_signals);
        of_categories(view, weight, found.code[at], visit, to);
    }
    if (!pooled) return signals;

    const Brought& brought = *pooled->brought;
    std::vector<float> followed(n, 0.0f);
    for (size_t one = 0; one < brought.similar.code.size(); ++one) {
        const int32_t slot = slots[brought.similar.code[one]];
        if (slot >= 0) followed[slot] += brought.similar.share[one];
    }
    for (int64_t at = 0; at < n; ++at)
        pooled->of(level, own, found.code[at], found.own[at], current, followed[at],
                   signals.data() + (at + 1) * width - 4);
    return signals;
}

// What the network says of candidates with these signals, (M,).
inline std::vector<float> judged(const RerankerTables& tables, std::vector<float> signals) {
    const int64_t width = tables.n_signals, hidden = tables.hidden, n = int64_t(signals.size()) / width;
    for (int64_t at = 0; at < n; ++at)
        for (int64_t i = 0; i < width; ++i) {
            float& one = signals[at * width + i];
            one = std::min(std::max((one - tables.mean[i]) / tables.spread[i], -SPAN), SPAN);
        }
    const auto activate = [](std::vector<float>& values) {
        size_t i = 0;
        for (; i + WIDTH <= values.size(); i += WIDTH) {
            const Floats x = load(values.data() + i);
            store(values.data() + i, x * sigmoid(x));
        }
        for (; i < values.size(); ++i) values[i] /= 1 + std::exp(-values[i]);
    };
    std::vector<float> first(n * hidden), second(n * hidden), said(n);
    linear(signals.data(), n, width, tables.first, tables.first_bias, hidden, first.data());
    activate(first);
    linear(first.data(), n, hidden, tables.second, tables.second_bias, hidden, second.data());
    activate(second);
    linear(second.data(), n, hidden, tables.last, nullptr, 1, said.data());
    return said;
}

// Lets the likeliest codes share anew what they have together.
template <class Said>
void rerank(const View& view, float strength, Said& said) {
    const RerankerTables& tables = *view.level.reranker;
    const int64_t size = view.level.size;
    Candidates found;
    const double total = find_likeliest(size, std::min(tables.most, size), view.item, said, view.own, found);
    std::vector<float> logits = judged(tables, signals_of(view, found));
    for (size_t at = 0; at < logits.size(); ++at)
        logits[at] = strength * logits[at] + std::log(std::max(found.probability[at], LEAST_PROBABILITY));
    softmax(logits);
    for (int64_t at = 0; at < found.count(); ++at)
        said.put(found.code[at], found.own[at], float(logits[at] * total));
}

}  // namespace hup
