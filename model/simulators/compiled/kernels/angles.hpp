// From weights and inputs to the coefficients of a block's steps: tangents, and the cosines that the passes leave out.
#pragma once

#include <algorithm>
#include <cmath>

#include "lanes.hpp"
#include "program.hpp"

namespace {

template <class T> constexpr T STEEP = 16;  // |tangent| above which a step is taken in two halves: it grows without bound towards pi

// The coefficients of one step, in every lane.
template <class T> struct Coefficients {
    Vector<T> tangent, cosine;            // of angle / 2
    Vector<T> half_tangent, half_cosine;  // of angle / 4, for steps too steep to be taken at once
    bool steep;
};

template <class T> bool steep(T tangent) { return !(std::abs(tangent) <= STEEP<T>); }  // true for NaN, too

template <class T> Coefficients<T> coefficients(Vector<T> angle) {
    Vector<T> sine, cosine;
    quarter_sine_cosine<T>(angle, sine, cosine);
    Coefficients<T> c;
    c.cosine = cosine * cosine - sine * sine;
    c.tangent = T(2) * sine * cosine / c.cosine;
    c.half_cosine = cosine, c.half_tangent = sine / cosine;
    c.steep = false;
    return c;
}

// Works out the coefficients of all steps for one block of rows.
//   weights: those of the block's trial; inputs: [present, program.inputs], of its rows; rows: places for rows in a vector.
template <class T>
void take_angles(const Program& program, const T* weights, const T* inputs, int rows, int present, Coefficients<T>* found) {
    constexpr int L = Lanes<T>::count;
    Vector<T> common{};
    int waiting[L], count = 0;
    auto settle = [&] {  // steps whose angle all rows share are worked out side by side
        const Coefficients<T> many = coefficients<T>(common);
        for (int lane = 0; lane < count; ++lane)
            found[waiting[lane]] = {all<T>(many.tangent[lane]), all<T>(many.cosine[lane]), all<T>(many.half_tangent[lane]),
                                    all<T>(many.half_cosine[lane]), steep<T>(many.tangent[lane])};
        count = 0;
    };
    for (std::size_t s = 0; s < program.steps.size(); ++s) {
        const Step& step = program.steps[s];
        T shared = T(step.offset);
        for (const Term& term : step.weights) shared += T(term.scale) * weights[term.column];
        if (step.inputs.empty()) {
            common[count] = shared, waiting[count++] = int(s);
            if (count == L) settle();
            continue;
        }
        Vector<T> angle = all<T>(shared);
        for (const Term& term : step.inputs)
            for (int lane = 0; lane < L; ++lane)
                if (lane % rows < present) angle[lane] += T(term.scale) * inputs[(lane % rows) * program.inputs + term.column];
        found[s] = coefficients<T>(angle);
        for (int lane = 0; lane < L; ++lane) found[s].steep |= steep<T>(found[s].tangent[lane]);
    }
    settle();
}

}  // namespace
