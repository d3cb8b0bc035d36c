import Foundation
import Simulation
import Testing

/// Worlds from seeds, in which everything goes wrong that may. `SIMULATION_SEED=123 swift test --filter SimulationTests` runs one
/// seed again and tells what happens in it; `SIMULATION_SEEDS=100000` runs so many.
@Suite struct SimulationTests {
    private static let environment = ProcessInfo.processInfo.environment

    /// Ten thousand worlds keep every promise of guarantee.md.
    @Test(arguments: 0..<8)
    func keepsItsPromises(part: Int) {
        let count = UInt64(Self.environment["SIMULATION_SEEDS"] ?? "") ?? 10_000
        var seeds = stride(from: UInt64(part), to: count, by: 8).map { $0 }
        var trace: ((String) -> Void)?
        if let one = UInt64(Self.environment["SIMULATION_SEED"] ?? "") {
            seeds = part == 0 ? [one] : []
            trace = { print($0) }
        }
        for seed in seeds {
            if let violation = Simulation.run(seed: seed, trace: trace) {
                Issue.record(
                    "seed \(seed): \(violation). Again: SIMULATION_SEED=\(seed) swift test --filter SimulationTests"
                )
                return
            }
        }
    }

    /// A test of the tests: each mistake is found within a thousand worlds.
    @Test(arguments: Mistakes.all.map(\.name))
    func findsTheMistake(name: String) throws {
        let mistake = try #require(Mistakes.all.first { $0.name == name }).mistake
        let found = (0..<UInt64(1000)).lazy.compactMap { seed in
            Simulation.run(seed: seed, mistakes: mistake).map { (seed, $0) }
        }.first
        #expect(found != nil, "not found: \(name)")
        if let (seed, violation) = found { print("\(name): seed \(seed), \(violation)") }
    }

    /// The same seed is the same world.
    @Test func repeatsItself() {
        for seed in UInt64(0)..<20 {
            let mistakes = Mistakes.positionMovedByChannel
            #expect(Simulation.run(seed: seed, mistakes: mistakes) == Simulation.run(seed: seed, mistakes: mistakes))
        }
    }
}
