// The visits at the end of a session; the twin is hup.models.hup.mixture.single.runs.visits_at_end.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "single_model.hpp"

namespace hup {

constexpr float MOST_OF_A_BEHAVIOR = 3.0f;
constexpr int64_t NO_CODE = -(int64_t(1) << 40);  // equals no code

struct Visits {
    std::vector<int64_t> run, code;
    std::vector<float> signals, context;  // (P, F) and (G,)

    int64_t count() const { return int64_t(run.size()); }
    int64_t since(int64_t visit) const { return count() - 1 - visit; }
};

inline void behaviors_of(const float* counts, int64_t n, float* to) {
    for (int64_t b = 0; b < n; ++b) to[b] = std::min(counts[b], MOST_OF_A_BEHAVIOR) / 2;
}

inline Visits visits_at_end(const Model& model, const Question& asked, int64_t k) {
    const int64_t begin = std::max<int64_t>(0, asked.n_runs - 1 - model.most_visits), at = asked.n_runs - 1;
    const int64_t n_behaviors = model.n_behaviors, n_categories = model.n_categories;
    const auto code = [&](int64_t run) { return asked.code(run, k, n_categories); };
    const auto is_now = [&](int64_t run) { return !asked.earlier || asked.earlier[2 * run] == 0; };

    std::vector<int64_t> by_code(at + 1 - begin);
    for (int64_t run = begin; run <= at; ++run) by_code[run - begin] = run;
    std::stable_sort(by_code.begin(), by_code.end(), [&](int64_t x, int64_t y) { return code(x) < code(y); });
    struct Group {
        int64_t last, first_place, n;
    };
    std::vector<Group> groups;
    for (int64_t place = 0, n = int64_t(by_code.size()); place < n;) {
        int64_t end = place;
        while (end < n && code(by_code[end]) == code(by_code[place])) ++end;
        groups.push_back({by_code[end - 1], place, end - place});
        place = end;
    }
    std::sort(groups.begin(), groups.end(), [](const Group& x, const Group& y) { return x.last < y.last; });

    int64_t before = -1;  // last time that the user was on the current code
    int64_t n_runs = 0, n_codes = 0;
    for (int64_t run = begin; run <= at; ++run) {
        if (run < at && code(run) == code(at)) before = run;
        n_runs += is_now(run);
    }
    for (const Group& group : groups) n_codes += is_now(group.last);
    const int64_t after_it = before >= 0 ? code(before + 1) : NO_CODE;
    const int64_t before_it = before > begin ? code(before - 1) : NO_CODE;

    Visits visits;
    visits.signals.resize(groups.size() * model.n_signals);
    std::vector<double> behaviors(n_behaviors);
    for (size_t visit = 0; visit < groups.size(); ++visit) {
        const Group& group = groups[visit];
        const int64_t run = group.last, since = int64_t(groups.size() - 1 - visit);
        double events = 0, dwell = 0;
        std::fill(behaviors.begin(), behaviors.end(), 0.0);
        for (int64_t place = group.first_place; place < group.first_place + group.n; ++place) {
            const int64_t one = by_code[place];
            events += asked.events[one];
            dwell += asked.dwell[one];
            for (int64_t b = 0; b < n_behaviors; ++b) behaviors[b] += asked.behaviors[one * n_behaviors + b];
        }
        const bool is_open = run == at;
        const float so_far = float(dwell) - (is_open ? asked.dwell[run] : 0.0f);
        visits.run.push_back(run);
        visits.code.push_back(code(run));
        float* to = visits.signals.data() + visit * model.n_signals;
        *to++ = std::log1p(float(since));
        *to++ = std::log1p(float(at - run));
        *to++ = std::log1p(float(group.n - 1));
        *to++ = std::log1p(float(events));
        *to++ = std::log1p(std::max(so_far, 0.0f)) / 5;
        *to++ = std::log1p(is_open ? 0.0f : asked.dwell[run]) / 5;
        *to++ = visits.code.back() == after_it;
        *to++ = visits.code.back() == before_it;
        for (int64_t place = 0; place < 3; ++place) *to++ = since == place;
        *to++ = std::log1p(asked.events[run]);
        *to++ = std::log(float(n_runs)) / 3;
        *to++ = std::log(float(n_codes)) / 3;
        for (int64_t b = 0; b < n_behaviors; ++b) *to++ = std::min(float(behaviors[b]), MOST_OF_A_BEHAVIOR) / 2;
        for (int64_t c = 0; c < n_categories; ++c)
            *to++ = asked.categories[run * n_categories + c] == asked.categories[at * n_categories + c];
        if (asked.earlier) {
            *to++ = std::log1p(asked.earlier[2 * run]);
            *to++ = std::log1p(asked.earlier[2 * run + 1]) / 10;
        }
    }
    visits.context = {std::log(float(n_runs)), std::log(float(n_codes)), std::log(float(n_codes) / float(n_runs)),
                      std::log(asked.events[at]), 1.0f};
    visits.context.resize(model.n_context);
    behaviors_of(asked.behaviors + at * n_behaviors, n_behaviors, visits.context.data() + 5);
    return visits;
}

}  // namespace hup
