// The calls of kernels that take a block through its program, and the order that keeps its state in cache.
#pragma once

#include <array>
#include <vector>

#include "angles.hpp"
#include "passes.hpp"

namespace {

template <class T> struct Sweeps {
    decltype(&sweep_forward<T, 1, 0, false>) forward;
    decltype(&sweep_backward<T, 1, 0, false>) backward;
};

template <class T, int K, int Chained> constexpr std::array<Sweeps<T>, 2> sweeps() {
    return {{{&sweep_forward<T, K, Chained, false>, &sweep_backward<T, K, Chained, false>},
             {&sweep_forward<T, K, Chained, true>, &sweep_backward<T, K, Chained, true>}}};
}

template <class T> const Sweeps<T>& sweep_of(int steps, int chained, bool on_lane) {
    static constexpr std::array<std::array<Sweeps<T>, 2>, 7> table{
        sweeps<T, 1, 0>(), sweeps<T, 2, 0>(), sweeps<T, 2, 2>(), sweeps<T, 3, 0>(), sweeps<T, 3, 2>(), sweeps<T, 3, 4>(), sweeps<T, 3, 6>()};
    return table[(1 << (steps - 1)) - 1 + chained / 2][on_lane];  // step 0 is never chained: its bit is left out
}

template <class T> struct LaneSteps {
    decltype(&lane_forward<T, 1, false>) forward;
    decltype(&lane_backward<T, 1, false>) backward;
};

template <class T, int Distance> constexpr std::array<LaneSteps<T>, 2> lane_steps() {
    constexpr int within = Distance < Lanes<T>::count ? Distance : 0;  // wider than the vector: never asked for
    return {{{&lane_forward<T, within, false>, &lane_backward<T, within, false>},
             {&lane_forward<T, within, true>, &lane_backward<T, within, true>}}};
}

template <class T> const LaneSteps<T>& lane_step_of(int distance, bool controlled) {
    static constexpr std::array<std::array<LaneSteps<T>, 2>, 4> table{
        lane_steps<T, 1>(), lane_steps<T, 2>(), lane_steps<T, 4>(), lane_steps<T, 8>()};
    return table[__builtin_ctz(distance)][controlled];
}

// One call of a kernel: the steps it takes and where, without their angles.
template <class T> struct Call {
    bool on_lanes;
    int count, step[3];
    int highest;  // vector bit among the targets, or -1
    Sweep sweep;
    LaneStep<T> lane;
    const Sweeps<T>* sweeps;
    const LaneSteps<T>* lane_steps;
};

template <class T> Call<T> make_call(const Program& program, const int* steps, int count, bool with_controls) {
    const int rows = Lanes<T>::count >> program.lane_bits;
    auto vector_bit = [&](int bit) { return bit - program.lane_bits; };
    Call<T> call{program.steps[steps[0]].target < program.lane_bits, count, {}, -1, {{0, 0, 0}, {NO_BIT, NO_BIT, NO_BIT}, 0}, {}, nullptr, nullptr};
    int chained = 0;
    for (int k = 0; k < count; ++k) {
        const Step& step = program.steps[call.step[k] = steps[k]];
        const int control = with_controls ? step.control : -1;
        const bool lane_control = control >= 0 && control < program.lane_bits;
        if (call.on_lanes) {
            call.lane.sign = lanes_with<T>(rows << step.target) ? all<T>(1) : all<T>(-1);
            call.lane.mask = lane_control ? lanes_with<T>(rows << control) : Mask<T>{};
            call.lane.control = control >= 0 && !lane_control ? vector_bit(control) : NO_BIT;
            call.lane_steps = &lane_step_of<T>(rows << step.target, control >= 0);
            return call;
        }
        call.sweep.target[k] = vector_bit(step.target);
        call.highest = std::max(call.highest, call.sweep.target[k]);
        if (lane_control) call.sweep.lane_control = rows << control;
        else if (control >= 0 && k > 0 && vector_bit(control) == call.sweep.target[k - 1]) chained |= 1 << k;
        else if (control >= 0) call.sweep.control[k] = vector_bit(control);
    }
    call.sweeps = &sweep_of<T>(count, chained, call.sweep.lane_control != 0);
    return call;
}

// A call of one block: its tangents, the gradients it gathers, and by what to multiply the state afterwards where it has grown too large.
template <class T> struct Turn {
    const Call<T>* call;
    Vector<T> tangent[3], gradient[3];
    bool rescale;
    Vector<T> scale;
};

template <class T> class Schedule {
    using V = Vector<T>;

  public:
    explicit Schedule(const Program& program) : program(program) {
        for (const Pass& pass : program.passes) {
            if (pass.on_lanes)
                for (int step : pass.steps) calls.push_back(make_call<T>(program, &step, 1, true));
            else
                calls.push_back(make_call<T>(program, pass.steps.data(), int(pass.steps.size()), true));
        }
    }

    // Lays out a block's turns, in the order of the circuit or backwards; returns the cosines left out at its end.
    V arrange(const Coefficients<T>* of_step, bool back, std::vector<Turn<T>>& turns);

    // Takes the turns. `rank`: the bits of the index beyond the state's; `cotangent` is null on the way forward.
    void run(std::vector<Turn<T>>& turns, std::uint64_t rank, V* state, V* cotangent) const;

    // Adds each turn's gradients to those of its steps.
    void gather(const std::vector<Turn<T>>& turns, const Coefficients<T>* of_step, V* gradients) const;

  private:
    const Program& program;
    std::vector<Call<T>> calls;
    std::vector<Call<T>> singles;  // of every step by itself, then of every step without its CNOT; made when first needed

    const Call<T>* single(int step, bool with_control) {
        const int steps = int(program.steps.size());
        if (singles.empty())
            for (bool controlled : {true, false})
                for (int s = 0; s < steps; ++s) singles.push_back(make_call<T>(program, &s, 1, controlled));
        return &singles[step + (with_control ? 0 : steps)];
    }
    void take(Turn<T>& turn, Part part, V* state, V* cotangent) const;
};

// Turns whose targets all lie within a cached part are taken together, part by part; the others sweep over the whole state.
template <class T> void Schedule<T>::run(std::vector<Turn<T>>& turns, std::uint64_t rank, V* state, V* cotangent) const {
    const std::size_t vectors = std::size_t(1) << (program.qubits - program.lane_bits);
    const std::size_t size = std::min(vectors, CACHED / sizeof(V)), above = rank * vectors;
    auto within = [&](const Turn<T>& turn) { return turn.call->highest < 0 || std::size_t(1) << turn.call->highest < size; };
    for (auto from = turns.begin(); from != turns.end();) {
        auto last = std::find_if_not(from, turns.end(), within);
        if (last == from) {
            take(*from++, {0, vectors, above}, state, cotangent);
            continue;
        }
        for (std::size_t first = 0; first < vectors; first += size)
            for (auto turn = from; turn != last; ++turn) take(*turn, {first, size, above}, state, cotangent);
        from = last;
    }
}

template <class T> void Schedule<T>::take(Turn<T>& turn, Part part, V* state, V* cotangent) const {
    const Call<T>& call = *turn.call;
    if (call.on_lanes) {
        if (cotangent) call.lane_steps->backward(call.lane, part, state, cotangent, turn.tangent[0], turn.gradient[0]);
        else call.lane_steps->forward(call.lane, part, state, turn.tangent[0]);
    } else {
        if (cotangent) call.sweeps->backward(call.sweep, part, state, cotangent, turn.tangent, turn.gradient);
        else call.sweeps->forward(call.sweep, part, state, turn.tangent);
    }
    if (!turn.rescale) return;
    for (std::size_t i = part.first; i < part.first + part.count; ++i) state[i] *= turn.scale;
    if (cotangent)
        for (std::size_t i = part.first; i < part.first + part.count; ++i) cotangent[i] *= turn.scale;
}

template <class T> Vector<T> Schedule<T>::arrange(const Coefficients<T>* of_step, bool back, std::vector<Turn<T>>& turns) {
    constexpr T small = T(1e-12);  // the state has grown by its inverse; float32 ends at 1e38
    V scale = all<T>(1);
    turns.clear();
    auto add = [&](const Call<T>* call, bool half) {
        Turn<T> turn{call, {}, {}, false, {}};
        for (int k = 0; k < call->count; ++k) {
            const Coefficients<T>& c = of_step[call->step[k]];
            turn.tangent[k] = half ? c.half_tangent : c.tangent;
            scale *= half ? c.half_cosine : c.cosine;
        }
        T least = scale[0];
        for (int lane = 1; lane < Lanes<T>::count; ++lane) least = std::min(least, scale[lane]);
        if (!(least > small)) turn.rescale = true, turn.scale = scale, scale = all<T>(1);
        turns.push_back(turn);
    };
    for (std::size_t i = 0; i < calls.size(); ++i) {
        const Call<T>& call = calls[back ? calls.size() - 1 - i : i];
        bool any_steep = false;
        for (int k = 0; k < call.count; ++k) any_steep |= of_step[call.step[k]].steep;
        if (!any_steep) {
            add(&call, false);
            continue;
        }
        for (int k = 0; k < call.count; ++k) {
            const int step = call.step[back ? call.count - 1 - k : k];
            if (!of_step[step].steep) {
                add(single(step, true), false);
            } else {  // two of half the angle; the CNOT comes before both
                add(single(step, !back), true);
                add(single(step, back), true);
            }
        }
    }
    return scale;
}

template <class T> void Schedule<T>::gather(const std::vector<Turn<T>>& turns, const Coefficients<T>* of_step, V* gradients) const {
    V scale = all<T>(1);  // left out of state and cotangent alike: a gradient lacks its square
    for (std::size_t t = 0; t < turns.size(); ++t) {
        const Turn<T>& turn = turns[t];
        for (int k = turn.call->count - 1; k >= 0; --k) {
            const int step = turn.call->step[k];
            const Coefficients<T>& c = of_step[step];
            const bool second_half = c.steep && t > 0 && turns[t - 1].call->step[0] == step && turns[t - 1].call->count == 1;
            if (!second_half) gradients[step] += scale * scale * turn.gradient[k];
            scale *= c.steep ? c.half_cosine : c.cosine;
        }
        if (turn.rescale) scale = all<T>(1);
    }
}

}  // namespace
