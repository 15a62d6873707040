// The Python module: programs built from plain lists, batches given as addresses, and the widest kernels that this processor runs.
#include <nanobind/nanobind.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <cstdlib>
#include <string>
#include <tuple>

#include "program.hpp"

namespace nb = nanobind;

extern const Kernels kernels_narrow;
#ifdef X86_KERNELS
extern const Kernels kernels_avx2, kernels_avx512;
#endif

static const Kernels& widest() {
#ifdef X86_KERNELS
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
                      __builtin_cpu_supports("bmi2");
#ifdef KERNELS_BY_NAME  // the build with sanitizers tries those of every width that this processor runs
    const char* name = std::getenv("HADAMARD_KERNELS");
    if (name && std::string(name) == "narrow") return kernels_narrow;
    if (name && std::string(name) == "avx2" && avx2) return kernels_avx2;
#endif
    if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512bw"))
        return kernels_avx512;
    if (avx2) return kernels_avx2;
#endif
    return kernels_narrow;
}

static const Kernels& kernels = widest();

static const Functions& functions(bool single) { return single ? kernels.in_float : kernels.in_double; }

using Terms = std::vector<std::pair<int, double>>;

static std::vector<Term> terms_of(const Terms& given) {
    std::vector<Term> terms;
    for (auto [column, scale] : given) terms.push_back({column, scale});
    return terms;
}

static Program make_program(int qubits, int lane_bits, const std::vector<std::tuple<int, int, double, Terms, Terms>>& steps,
                            const std::vector<std::pair<bool, std::vector<int>>>& passes, std::vector<int> measured,
                            std::vector<double> signs, int weights, int inputs) {
    Program program{qubits, lane_bits, {}, {}, std::move(measured), std::move(signs), weights, inputs};
    for (const auto& [control, target, offset, of_weights, of_inputs] : steps)
        program.steps.push_back({control, target, offset, terms_of(of_weights), terms_of(of_inputs)});
    for (const auto& [on_lanes, of_pass] : passes) program.passes.push_back({on_lanes, of_pass});
    return program;
}

template <class P> static P* at(std::uintptr_t address) { return reinterpret_cast<P*>(address); }

NB_MODULE(native, m) {
    nb::set_leak_warnings(false);  // whoever ends with a gradient still to be taken holds its program: no leak
    nb::class_<Program>(m, "Program").def("__init__", [](Program* self, int qubits, int lane_bits,
        const std::vector<std::tuple<int, int, double, Terms, Terms>>& steps, const std::vector<std::pair<bool, std::vector<int>>>& passes,
        std::vector<int> measured, std::vector<double> signs, int weights, int inputs) {
        new (self) Program(make_program(qubits, lane_bits, steps, passes, std::move(measured), std::move(signs), weights, inputs));
    });
    m.attr("vector_bytes") = kernels.vector_bytes;
    m.attr("cached_vectors") = CACHED / kernels.vector_bytes;
    m.def("forward", [](const Program& program, bool single, std::int64_t trials, std::int64_t rows, std::uintptr_t weights,
                        std::uintptr_t inputs, std::uintptr_t states, std::size_t amplitudes, std::uintptr_t saved, std::uintptr_t values,
                        int threads) {
        Batch batch{trials, rows, at<void>(weights), at<void>(inputs), at<void>(states), at<void>(saved), at<void>(values),
                    nullptr, nullptr, nullptr, nullptr, threads, nullptr, 0, amplitudes};
        functions(single).forward(program, batch);
    }, nb::call_guard<nb::gil_scoped_release>());
    m.def("backward", [](const Program& program, bool single, std::int64_t trials, std::int64_t rows, std::uintptr_t weights,
                         std::uintptr_t inputs, std::uintptr_t saved, std::uintptr_t cotangent, std::uintptr_t weight_gradient,
                         std::uintptr_t input_gradient, std::uintptr_t state_gradient, std::size_t amplitudes, int threads) {
        Batch batch{trials, rows, at<void>(weights), at<void>(inputs), nullptr, at<void>(saved), nullptr, at<void>(cotangent),
                    at<void>(weight_gradient), at<void>(input_gradient), at<void>(state_gradient), threads, nullptr, 0, amplitudes};
        functions(single).backward(program, batch);
    }, nb::call_guard<nb::gil_scoped_release>());
    m.def("advance", [](const Program& program, bool single, std::int64_t trials, std::int64_t rows, std::uint64_t rank,
                        std::uintptr_t weights, std::uintptr_t inputs, std::uintptr_t saved, int threads) {
        Batch batch{trials, rows, at<void>(weights), at<void>(inputs), nullptr, at<void>(saved), nullptr, nullptr,
                    nullptr, nullptr, nullptr, threads, nullptr, rank};
        functions(single).advance(program, batch);
    }, nb::call_guard<nb::gil_scoped_release>());
    m.def("measure", [](const Program& program, bool single, std::int64_t trials, std::int64_t rows, std::uint64_t rank,
                        std::uintptr_t saved, std::uintptr_t values, int threads) {
        Batch batch{trials, rows, nullptr, nullptr, nullptr, at<void>(saved), at<void>(values), nullptr,
                    nullptr, nullptr, nullptr, threads, nullptr, rank};
        functions(single).measure(program, batch);
    }, nb::call_guard<nb::gil_scoped_release>());
    m.def("begin", [](const Program& program, bool single, std::int64_t trials, std::int64_t rows, std::uint64_t rank,
                      std::uintptr_t saved, std::uintptr_t cotangents, std::uintptr_t cotangent, int threads) {
        Batch batch{trials, rows, nullptr, nullptr, nullptr, at<void>(saved), nullptr, at<void>(cotangent),
                    nullptr, nullptr, nullptr, threads, at<void>(cotangents), rank};
        functions(single).begin(program, batch);
    }, nb::call_guard<nb::gil_scoped_release>());
    m.def("retreat", [](const Program& program, bool single, std::int64_t trials, std::int64_t rows, std::uint64_t rank,
                        std::uintptr_t weights, std::uintptr_t inputs, std::uintptr_t saved, std::uintptr_t cotangents,
                        std::uintptr_t weight_gradient, std::uintptr_t input_gradient, int threads) {
        Batch batch{trials, rows, at<void>(weights), at<void>(inputs), nullptr, at<void>(saved), nullptr, nullptr,
                    at<void>(weight_gradient), at<void>(input_gradient), nullptr, threads, at<void>(cotangents), rank};
        functions(single).retreat(program, batch);
    }, nb::call_guard<nb::gil_scoped_release>());
}
