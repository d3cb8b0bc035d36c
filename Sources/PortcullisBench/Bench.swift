import ArgumentParser

/// Measures a gate against a floor that stands in the same program, by ratios within one run.
@main
struct Bench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "portcullis-bench",
        abstract: "Measures a gate against the least that a gate can do on this kernel.",
        subcommands: [
            AllCommand.self, HandshakeCommand.self, GrowthCommand.self, MemoryCommand.self, IdleCommand.self,
            LatencyCommand.self, MassCommand.self, FanoutCommand.self, SoakCommand.self, ReplicaCommand.self,
            OpenCommand.self, FloorCommand.self, GateCommand.self, RedisCommand.self, StormCommand.self,
        ]
    )
}
