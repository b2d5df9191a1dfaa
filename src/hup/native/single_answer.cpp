// What the mixture answers one user, at all levels; the twin is hup.models.hup.mixture.single.answer.SingleMixture.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "single_agreement.hpp"
#include "single_counted.hpp"
#include "single_model.hpp"
#include "single_pooling.hpp"
#include "single_reranking.hpp"
#include "single_visits.hpp"

namespace {

using namespace hup;

bool in_order(const Model& model, int64_t number) {
    return model.levels[number].reranker && model.weights[number].reranking != 0;
}

// What one level says, and what that is made of.
struct LevelAnswer {
    Visits visits;
    Parts parts;
    Own own;
    Brought brought;
    std::vector<float> profile;  // (d,), or none
    int64_t current;
};

struct Answer {
    const Model* model;
    std::vector<LevelAnswer> levels;
};

Own beyond(const Model& model, const LevelTables& level, const Question& asked, const Visits& visits,
           const Parts& parts) {
    Own own;
    for (int64_t visit = 0; visit < visits.count(); ++visit) {
        if (visits.code[visit] < level.size) continue;
        const int64_t above = level.k ? level.k - 1 : model.n_categories;
        own.visit.push_back(visit);
        own.code.push_back(visits.code[visit]);
        own.parent.push_back(above ? asked.code(visits.run[visit], above, model.n_categories) : -1);
        own.counted.push_back(parts.weights[0] * parts.repeat[visit]);
    }
    own.probability = own.counted;
    return own;
}

// Fills in what the level says by itself, and gives its probabilities. Where the likeliest will be ranked anew, or
// likings are coarse, `counted` becomes what was counted.
Distribution say(const Model& model, int64_t number, const Question& asked, LevelAnswer& answer, float* known,
                 std::vector<float>& counted) {
    const LevelTables& level = model.levels[number];
    const Weights& weights = model.weights[number];
    const int64_t item = asked.item[asked.n_runs - 1];
    answer.current = !level.k && item >= 0 && item < level.size ? item : -1;
    answer.visits = visits_at_end(model, asked, level.k);
    answer.parts = parts_of(model, level, answer.visits);
    answer.own = beyond(model, level, asked, answer.visits, answer.parts);
    const float* profile = asked.profiles[number];
    const bool kept = profile && (in_order(model, number) || level.coarse.numbers);
    if (kept) counted.resize(level.size);
    float* by_counts = kept ? counted.data() : known;
    double mass = count_in(level, answer.visits, answer.parts, answer.current, by_counts);
    for (const float one : answer.own.probability) mass += one;
    Distribution made{known, level.size, &answer.own, 1.0};
    if (!profile) return made;
    const int64_t size = level.targets.size;
    answer.profile.assign(profile, profile + size);
    std::vector<float> vector(size);
    for (const int64_t visit : answer.own.visit) {
        const int64_t* path = asked.categories + answer.visits.run[visit] * model.n_categories;
        level.targets.look_up(answer.visits.code[visit], path, vector.data());
        answer.own.liking.push_back(dot(vector.data(), profile, size));
    }
    Pooling pooling(level, weights, profile, answer.current, mass, by_counts, known, answer.brought);
    pooling.like(answer.own);
    pooling.put_together();
    if (!level.k && model.similar && weights.similar != 0) pooling.add_similar(*model.similar);
    if (level.coarse.numbers) pooling.refine();
    made.scale = pooling.with_own(answer.own);
    return made;
}

// Puts the likeliest codes of a level in their learned order, once the levels agree; `said` is what they agree on, and
// `counted` what was counted of the level.
template <class Said>
void put_in_order(const Model& model, int64_t number, const Question& asked, const LevelAnswer& answer,
                  const float* counted, Said& said) {
    const bool has_profile = !answer.profile.empty();
    const Pooled pooled{answer.profile.data(), counted, &answer.brought};
    const View view{model,
                    model.levels[number],
                    asked,
                    answer.visits,
                    answer.parts,
                    answer.own,
                    number ? -1 : asked.item[asked.n_runs - 1],
                    answer.current,
                    has_profile ? &pooled : nullptr};
    rerank(view, model.weights[number].reranking, said);
}

float fits(const LevelAnswer& answer, const LevelTables& level, int64_t code) {
    if (answer.profile.empty() || code == answer.current) return 0;
    const int64_t size = level.targets.size;
    return answer.brought.fits(dot(level.vectors + code * size, answer.profile.data(), size), level.runs[code]);
}

}  // namespace

// Answers; `known` has room for the probabilities of the vocabulary, level after level. What is returned is given back
// by hup_forget, and reads tables and weights of the model until then.
extern "C" Answer* hup_answer(const Model* model, const Question* asked, float* known) {
    auto* answer = new Answer{model, std::vector<LevelAnswer>(model->n_levels)};
    thread_local std::vector<std::vector<float>> counted;
    if (int64_t(counted.size()) < model->n_levels) counted.resize(model->n_levels);
    std::vector<Distribution> levels;
    for (int64_t number = 0; number < model->n_levels; ++number) {
        levels.push_back(say(*model, number, *asked, answer->levels[number], known, counted[number]));
        known += model->levels[number].size;
    }
    leave_out(levels[0], answer->levels[0].current);
    Agreement agreement(*model, levels);
    agreement.agree(0);
    if (in_order(*model, 0)) {
        put_in_order(*model, 0, *asked, answer->levels[0], counted[0].data(), agreement);
        agreement.agree(model->weights[0].reranking);
    }
    if (model->n_levels > 1 && in_order(*model, 1))
        agreement.move_categories([&](Distribution& categories) {
            put_in_order(*model, 1, *asked, answer->levels[1], counted[1].data(), categories);
        });
    agreement.conclude();
    return answer;
}

extern "C" void hup_forget(Answer* answer) { delete answer; }

// Visits of a level: the run of each and its share in repeat and memory, which sum to 1. Gives their number.
extern "C" int64_t hup_visits(const Answer* answer, int64_t number, int64_t* run, double* share) {
    const LevelAnswer& level = answer->levels[number];
    const int64_t n = level.visits.count();
    double total = 0;
    for (int64_t visit = 0; visit < n; ++visit) {
        const float* memory = level.parts.memory.data() + visit * RELATIONS;
        run[visit] = level.visits.run[visit];
        share[visit] = level.parts.weights[0] * level.parts.repeat[visit] +
                       level.parts.weights[1] * (memory[0] + memory[1] + memory[2]);
        total += share[visit];
    }
    for (int64_t visit = 0; visit < n; ++visit) share[visit] = total > 0 ? share[visit] / total : 1.0 / double(n);
    return n;
}

// What the session has beyond the vocabulary of a level, and how likely that is. Gives its number.
extern "C" int64_t hup_own(const Answer* answer, int64_t number, int64_t* code, float* probability) {
    const Own& own = answer->levels[number].own;
    std::copy(own.code.begin(), own.code.end(), code);
    std::copy(own.probability.begin(), own.probability.end(), probability);
    return own.count();
}

// What brings about the probabilities of n codes at a level: in all (n,), by repeat and by memory of every visit (n, P)
// and by the profile (n,).
extern "C" void hup_contributions(const Answer* answer, int64_t number, const int64_t* codes, int64_t n, float* total,
                                  float* repeat, float* memory, float* profile) {
    const LevelTables& tables = answer->model->levels[number];
    const LevelAnswer& level = answer->levels[number];
    const int64_t n_visits = level.visits.count();
    const std::vector<int64_t> asked(codes, codes + n);
    std::fill_n(repeat, n * n_visits, 0.0f);
    std::fill_n(memory, n * n_visits, 0.0f);
    for (int64_t at = 0; at < n; ++at)
        for (int64_t visit = 0; visit < n_visits; ++visit)
            if (level.visits.code[visit] == codes[at])
                repeat[at * n_visits + visit] = level.parts.repeat[visit] * level.parts.weights[0];
    const Slots slots(tables.size, asked);
    for (int relation = 0; relation < RELATIONS; ++relation)
        for_all_near(tables, level.visits, level.parts, relation, 0, [&](int64_t visit, int64_t code, float share) {
            if (slots[code] >= 0)
                memory[slots[code] * n_visits + visit] +=
                    level.parts.memory[visit * RELATIONS + relation] * share * level.parts.weights[1];
        });

    const float popular = popularity_scale(tables, level.current) * level.parts.weights[2];
    std::vector<double> base(n, 0.0);
    for (int64_t at = 0; at < n; ++at) {
        if (codes[at] < tables.size) {
            if (codes[at] != level.current) base[at] = tables.popularity[codes[at]] * popular;
            profile[at] = fits(level, tables, codes[at]);
        } else {
            const auto found = std::find(level.own.code.begin(), level.own.code.end(), codes[at]);
            const int64_t own = found - level.own.code.begin();
            const bool liked = own < int64_t(level.own.liking.size());
            profile[at] = liked ? level.brought.fits(level.own.liking[own], 0) : 0.0f;
        }
        for (int64_t visit = 0; visit < n_visits; ++visit)
            base[at] += repeat[at * n_visits + visit] + memory[at * n_visits + visit];
    }
    for (size_t one = 0; one < level.brought.similar.code.size(); ++one) {
        const int32_t at = slots[level.brought.similar.code[one]];
        if (at >= 0) profile[at] += level.brought.similar.share[one];
    }
    for (int64_t at = 0; at < n; ++at) {
        const float scale = level.brought.rest;
        total[at] = float(scale * base[at]) + profile[at];
        for (int64_t visit = 0; visit < n_visits; ++visit) {
            repeat[at * n_visits + visit] *= scale;
            memory[at * n_visits + visit] *= scale;
        }
    }
}
