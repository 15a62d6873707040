// Runs a program over a batch, one block of rows at a time: forward to the measured values, backward by the adjoint method.
//
// Compiled once per vector width (VECTOR_BYTES), each time under a name of its own (KERNELS). A block is R rows of one trial; every
// number of a row depends on the rows of its block alone, so neither threads nor other trials of the batch can change it.
#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <limits>
#include <memory>
#include <thread>

#include "passes.hpp"

namespace {

template <class T> constexpr T STEEP = 16;       // |t| above which a step is taken in two halves: t grows without bound towards pi
template <class T> constexpr T SMALL = T(1e-12);  // left-out cosines below which the state is rescaled (float32 ends at 1e38)

constexpr std::size_t CHUNK = 256;

// The block's coefficients of one step, in every lane.
template <class T> struct Coefficients {
    Vector<T> tangent, cosine;            // of angle / 2
    Vector<T> half_tangent, half_cosine;  // of angle / 4, for steps too steep to be taken at once
    bool steep;
};

template <class T> Coefficients<T> coefficients(Vector<T> angle) {
    Vector<T> sine, cosine;
    quarter_sine_cosine<T>(angle, sine, cosine);
    Coefficients<T> c;
    c.cosine = cosine * cosine - sine * sine;
    c.tangent = T(2) * sine * cosine / c.cosine;
    c.half_cosine = cosine, c.half_tangent = sine / cosine;
    c.steep = false;
    for (int lane = 0; lane < Lanes<T>::count; ++lane) c.steep |= !(std::abs(c.tangent[lane]) <= STEEP<T>);  // true for NaN, too
    return c;
}

template <class T> T smallest(Vector<T> x) {
    T least = x[0];
    for (int lane = 1; lane < Lanes<T>::count; ++lane) least = std::min(least, x[lane]);
    return least;
}

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
    return {{{&lane_forward<T, within, false>, &lane_backward<T, within, false>}, {&lane_forward<T, within, true>, &lane_backward<T, within, true>}}};
}

template <class T> const LaneSteps<T>& lane_step_of(int distance, bool controlled) {
    static constexpr std::array<std::array<LaneSteps<T>, 2>, 4> table{lane_steps<T, 1>(), lane_steps<T, 2>(), lane_steps<T, 4>(), lane_steps<T, 8>()};
    return table[__builtin_ctz(distance)][controlled];
}

template <class T> std::int64_t rows_per_block(const Program& program) { return Lanes<T>::count >> program.lane_bits; }

template <class T> std::int64_t blocks_per_trial(const Program& program, const Batch& batch) {
    return (batch.rows + rows_per_block<T>(program) - 1) / rows_per_block<T>(program);
}

// One thread's work on one block.
template <class T> class Block {
    using V = Vector<T>;
    static constexpr int L = Lanes<T>::count;

  public:
    Block(const Program& program, const Batch& batch)
        : program(program), batch(batch), rows(int(rows_per_block<T>(program))),
          vectors(std::size_t(1) << (program.qubits - program.lane_bits)), coefficient(program.steps.size()),
          gradients(program.steps.size()), own_state(vectors), own_cotangent(vectors),
          state(own_state.data()), cotangent(own_cotangent.data()) {}

    void forward(std::int64_t trial, std::int64_t block);
    void backward(std::int64_t trial, std::int64_t block, T* weight_gradient);

  private:
    const Program& program;
    const Batch& batch;
    const int rows;
    const std::size_t vectors;
    std::vector<Coefficients<T>> coefficient;
    std::vector<V> gradients, own_state, own_cotangent;
    V *state, *cotangent;
    V scale;  // the cosines left out of state and cotangent so far
    std::int64_t first = 0, present = 0;

    void open(std::int64_t trial, std::int64_t block) {
        first = trial * batch.rows + block * rows;
        present = std::min<std::int64_t>(rows, batch.rows - block * rows);
        if (batch.saved)  // blocks of vectors in the order of trials and rows
            state = static_cast<V*>(batch.saved) + (trial * blocks_per_trial<T>(program, batch) + block) * vectors;
    }
    void take_angles(std::int64_t trial);
    void load_states();
    void store_states(const V* from, T* to) const;
    void measure();
    void weigh_cotangent();
    void run(const Pass& pass, bool back);
    void run_at_once(const int* steps, int count, bool back);
    void run_in_halves(int step, bool back);
    void sweep(const int* steps, int count, const int* controls, const V* tangent, V* gradient, bool back);
    void on_lanes(int target, int control, V tangent, V& gradient, bool back);
    void rescale(bool back);
    V over_amplitudes(V x) const;
    int vector_bit(int bit) const { return bit - program.lane_bits; }
    V sign_of(int bit) const { return lanes_with<T>(rows << bit) ? all<T>(-1) : all<T>(1); }
};

template <class T> void Block<T>::take_angles(std::int64_t trial) {
    const T* weights = static_cast<const T*>(batch.weights) + trial * program.weights;
    const T* inputs = static_cast<const T*>(batch.inputs) + first * program.inputs;
    V pending{};
    int waiting[L], count = 0;
    auto settle = [&] {  // steps whose angle is the same for all rows are worked out L at a time
        if (count == 0) return;
        Coefficients<T> many = coefficients<T>(pending);
        for (int lane = 0; lane < count; ++lane) {
            const bool steep = !(std::abs(many.tangent[lane]) <= STEEP<T>);
            coefficient[waiting[lane]] = {all<T>(many.tangent[lane]), all<T>(many.cosine[lane]), all<T>(many.half_tangent[lane]),
                                          all<T>(many.half_cosine[lane]), steep};
        }
        count = 0, pending = V{};
    };
    for (std::size_t s = 0; s < program.steps.size(); ++s) {
        const Step& step = program.steps[s];
        T common = T(step.offset);
        for (const Term& term : step.weights) common += T(term.scale) * weights[term.column];
        if (step.inputs.empty()) {
            pending[count] = common, waiting[count++] = int(s);
            if (count == L) settle();
            continue;
        }
        V angle = all<T>(common);
        for (const Term& term : step.inputs)
            for (int lane = 0; lane < L; ++lane)
                if (lane % rows < present) angle[lane] += T(term.scale) * inputs[(lane % rows) * program.inputs + term.column];
        coefficient[s] = coefficients<T>(angle);
    }
    settle();
}

template <class T> void Block<T>::load_states() {
    if (!batch.states) {
        std::fill(state, state + vectors, V{});
        for (int row = 0; row < rows; ++row) state[0][row] = 1;
        return;
    }
    const std::size_t length = std::size_t(1) << program.qubits;
    const T* from = static_cast<const T*>(batch.states) + first * length;
    T* to = reinterpret_cast<T*>(state);
    if (present < rows) std::fill(state, state + vectors, V{});
    for (std::int64_t row = 0; row < present; ++row)
        for (std::size_t i = 0; i < length; ++i) to[i * rows + row] = from[row * length + i];
}

template <class T> void Block<T>::store_states(const V* from, T* to) const {
    const std::size_t length = std::size_t(1) << program.qubits;
    const T* lanes = reinterpret_cast<const T*>(from);
    for (std::int64_t row = 0; row < present; ++row)
        for (std::size_t i = 0; i < length; ++i) to[(first + row) * length + i] = lanes[i * rows + row];
}

// Adds up what lies in lanes of the same row.
template <class T> Vector<T> Block<T>::over_amplitudes(V x) const {
    for (int lane = rows; lane < L; ++lane) x[lane % rows] += x[lane];
    return x;
}

// <Z> of every measured qubit: for each bit from the highest down, the difference of the halves of |amplitude|^2, then their sum.
template <class T> void Block<T>::measure() {
    T* values = static_cast<T*>(batch.values) + first * program.measured.size();
    V* weight = own_cotangent.data();
    for (std::size_t i = 0; i < vectors; ++i) weight[i] = state[i] * state[i];
    auto tell = [&](int bit, V value) {
        value = over_amplitudes(value);
        for (std::size_t m = 0; m < program.measured.size(); ++m)
            if (program.measured[m] == bit)
                for (std::int64_t row = 0; row < present; ++row) values[row * program.measured.size() + m] = T(program.signs[m]) * value[row];
    };
    for (int bit = program.qubits - 1; bit >= program.lane_bits; --bit) {
        const std::size_t half = std::size_t(1) << vector_bit(bit);
        V difference{};
        for (std::size_t from = 0; from < half; from += CHUNK) {  // sums of sums: a plain one of 2^19 terms loses float32's last digits
            V low{}, high{};
            for (std::size_t i = from; i < std::min(half, from + CHUNK); ++i) {
                low += weight[i], high += weight[i + half];
                weight[i] += weight[i + half];
            }
            difference += low - high;
        }
        tell(bit, difference);
    }
    for (int bit = 0; bit < program.lane_bits; ++bit) tell(bit, sign_of(bit) * weight[0]);
}

// The cotangent of the final state: 2 D state, D the sum of the values' cotangents times their Z, built up bit by bit.
template <class T> void Block<T>::weigh_cotangent() {
    const T* given = static_cast<const T*>(batch.cotangent) + first * program.measured.size();
    std::vector<V> of_bit(program.qubits, V{});
    for (std::size_t m = 0; m < program.measured.size(); ++m)
        for (int lane = 0; lane < L; ++lane)
            if (lane % rows < present)
                of_bit[program.measured[m]][lane] += T(2 * program.signs[m]) * given[(lane % rows) * program.measured.size() + m];
    cotangent[0] = V{};
    for (int bit = 0; bit < program.qubits; ++bit) {
        if (bit < program.lane_bits) {
            cotangent[0] += sign_of(bit) * of_bit[bit];
            continue;
        }
        const std::size_t half = std::size_t(1) << vector_bit(bit);
        for (std::size_t i = 0; i < half; ++i) {
            cotangent[i + half] = cotangent[i] - of_bit[bit];
            cotangent[i] += of_bit[bit];
        }
    }
    for (std::size_t i = 0; i < vectors; ++i) cotangent[i] *= state[i];
}

// Keeps aside the cosine of a step just taken; backwards, state and cotangent are both without it, so gradients lack its square.
template <class T> void Block<T>::rescale(bool back) {
    for (std::size_t i = 0; i < vectors; ++i) state[i] *= scale;
    if (back)
        for (std::size_t i = 0; i < vectors; ++i) cotangent[i] *= scale;
    scale = all<T>(1);
}

template <class T>
void Block<T>::sweep(const int* steps, int count, const int* controls, const V* tangent, V* gradient, bool back) {
    Sweep one{{0, 0, 0}, {NO_BIT, NO_BIT, NO_BIT}, 0, vectors};
    int chained = 0;
    for (int k = 0; k < count; ++k) {
        one.target[k] = vector_bit(program.steps[steps[k]].target);
        if (controls[k] < 0) continue;
        if (controls[k] < program.lane_bits) one.lane_control = rows << controls[k];
        else if (k > 0 && vector_bit(controls[k]) == one.target[k - 1]) chained |= 1 << k;
        else one.control[k] = vector_bit(controls[k]);
    }
    auto [forwards, backwards] = sweep_of<T>(count, chained, one.lane_control != 0);
    if (back) backwards(one, state, cotangent, tangent, gradient);
    else forwards(one, state, tangent);
}

template <class T> void Block<T>::on_lanes(int target, int control, V tangent, V& gradient, bool back) {
    const V sign = -sign_of(target);
    const bool inside = control >= 0 && control < program.lane_bits;
    LaneStep<T> step{control >= program.lane_bits ? vector_bit(control) : NO_BIT,
                     inside ? lanes_with<T>(rows << control) : Mask<T>{}, sign * tangent, vectors};
    auto [forwards, backwards] = lane_step_of<T>(rows << target, control >= 0);
    V found{};
    if (back) backwards(step, state, cotangent, found);
    else forwards(step, state);
    gradient += sign * found;
}

template <class T> void Block<T>::run_at_once(const int* steps, int count, bool back) {
    V tangent[3], gradient[3] = {};
    int controls[3];
    for (int k = 0; k < count; ++k) tangent[k] = coefficient[steps[k]].tangent, controls[k] = program.steps[steps[k]].control;
    if (program.steps[steps[0]].target < program.lane_bits)
        on_lanes(program.steps[steps[0]].target, controls[0], tangent[0], gradient[0], back);
    else
        sweep(steps, count, controls, tangent, gradient, back);
    for (int k = count - 1; k >= 0; --k) {  // backwards, a step's gradient lacks the cosines of the steps un-applied before it
        gradients[steps[k]] += scale * scale * gradient[k];
        scale *= coefficient[steps[k]].cosine;
    }
}

// A steep step is taken as two of half its angle; the CNOT belongs to the one that comes first in the circuit.
template <class T> void Block<T>::run_in_halves(int step, bool back) {
    const Coefficients<T>& c = coefficient[step];
    const int target = program.steps[step].target;
    V gradient{};
    const V square = scale * scale;
    for (int half = 0; half < 2; ++half) {
        int control = half == (back ? 1 : 0) ? program.steps[step].control : -1;
        V ignored{};
        V& kept = half == 0 ? gradient : ignored;
        if (target < program.lane_bits) on_lanes(target, control, c.half_tangent, kept, back);
        else sweep(&step, 1, &control, &c.half_tangent, &kept, back);
        scale *= c.half_cosine;
    }
    gradients[step] += square * gradient;
}

template <class T> void Block<T>::run(const Pass& pass, bool back) {
    const auto& steps = pass.steps;
    const bool steep = std::any_of(steps.begin(), steps.end(), [&](int s) { return coefficient[s].steep; });
    if (!steep && !pass.on_lanes) {
        run_at_once(steps.data(), int(steps.size()), back);
    } else {
        for (std::size_t k = 0; k < steps.size(); ++k) {
            const int step = steps[back ? steps.size() - 1 - k : k];
            if (coefficient[step].steep) run_in_halves(step, back);
            else run_at_once(&step, 1, back);
        }
    }
    if (!(smallest<T>(scale) > SMALL<T>)) rescale(back);
}

template <class T> void Block<T>::forward(std::int64_t trial, std::int64_t block) {
    open(trial, block);
    take_angles(trial);
    load_states();
    scale = all<T>(1);
    for (const Pass& pass : program.passes) run(pass, false);
    rescale(false);
    measure();
}

template <class T> void Block<T>::backward(std::int64_t trial, std::int64_t block, T* weight_gradient) {
    open(trial, block);
    std::copy(state, state + vectors, own_state.data());
    state = own_state.data();
    take_angles(trial);
    weigh_cotangent();
    std::fill(gradients.begin(), gradients.end(), V{});
    scale = all<T>(1);
    for (auto pass = program.passes.rbegin(); pass != program.passes.rend(); ++pass) run(*pass, true);
    T* input_gradient = static_cast<T*>(batch.input_gradient);
    for (std::size_t s = 0; s < program.steps.size(); ++s) {
        const Step& step = program.steps[s];
        const V of_rows = T(0.5) * over_amplitudes(gradients[s]);
        T sum = 0;
        for (std::int64_t row = 0; row < present; ++row) sum += of_rows[row];
        for (const Term& term : step.weights) weight_gradient[term.column] += T(term.scale) * sum;
        if (input_gradient)
            for (const Term& term : step.inputs)
                for (std::int64_t row = 0; row < present; ++row)
                    input_gradient[(first + row) * program.inputs + term.column] += T(term.scale) * of_rows[row];
    }
    if (batch.state_gradient) {
        for (std::size_t i = 0; i < vectors; ++i) cotangent[i] *= scale;
        store_states(cotangent, static_cast<T*>(batch.state_gradient));
    }
}

// Deals the blocks out to threads; which thread takes a block has no influence on its numbers.
template <class T, class Work> void over_blocks(const Program& program, const Batch& batch, Work work) {
    const std::int64_t per_trial = blocks_per_trial<T>(program, batch);
    const std::int64_t items = batch.trials * per_trial;
    std::atomic<std::int64_t> next{0};
    auto serve = [&] {
        Block<T> block(program, batch);
        for (std::int64_t item; (item = next++) < items;) work(block, item / per_trial, item % per_trial, item);
    };
    const std::int64_t helpers = std::min<std::int64_t>(batch.threads, items) - 1;
    std::vector<std::thread> threads;
    for (std::int64_t helper = 0; helper < helpers; ++helper) threads.emplace_back(serve);
    serve();
    for (auto& thread : threads) thread.join();
}

template <class T> void forward(const Program& program, const Batch& batch) {
    over_blocks<T>(program, batch, [](Block<T>& block, std::int64_t trial, std::int64_t b, std::int64_t) { block.forward(trial, b); });
}

template <class T> void backward(const Program& program, const Batch& batch) {
    const std::int64_t per_trial = blocks_per_trial<T>(program, batch);
    std::vector<T> parts(batch.trials * per_trial * program.weights);  // each block's own, added up in their order: no race, no chance
    over_blocks<T>(program, batch, [&](Block<T>& block, std::int64_t trial, std::int64_t b, std::int64_t item) {
        block.backward(trial, b, parts.data() + item * program.weights);
    });
    T* gradient = static_cast<T*>(batch.weight_gradient);
    for (std::int64_t item = 0; item < batch.trials * per_trial; ++item)
        for (int w = 0; w < program.weights; ++w) gradient[item / per_trial * program.weights + w] += parts[item * program.weights + w];
}

}  // namespace

extern const Kernels KERNELS;
const Kernels KERNELS{&forward<float>, &backward<float>, &forward<double>, &backward<double>, VECTOR_BYTES};
