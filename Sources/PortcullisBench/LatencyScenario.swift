import ArgumentParser
import CLinux
import Glibc
import Histogram
import PortcullisRedis

/// How long it takes from the write of a command to Redis until a client reads what follows from it, for one connection among many
/// idle ones. Against a bare subscriber, which reads the message itself, and against a floor that passes it on.
struct LatencyScenario {
    let session: Session
    /// Handshakes that a reconnect storm begins in a second meanwhile; 0: there is none.
    var storm = 0

    private static let stormed = 2000

    private static let bareChannel = "bench:bare"
    private static let floorChannel = "bench:floor"

    func run() throws -> [Row] {
        let floor = try session.startFloor(relaying: Self.floorChannel)
        let gate = try session.startGate()
        let client = try session.client()
        let returning = storm > 0 ? min(Self.stormed, session.connections / 4) : 0
        // Those of the storm may be there twice: as connections that are being closed, and as those that are being opened.
        let idle = session.connections - 2 * returning
        _ = try client.open(try session.passports(idle), to: gate.port, window: session.window)
        try gate.settle()
        let redis = try RedisSocket(session.redisPath)
        let bare = try RedisSocket.subscribed(session.redisPath, to: Self.bareChannel)
        defer { close(bare) }
        let passports = try session.passports(session.samples + 1)
        let relayed = try admitted(passports, 0, floor.port)
        defer { close(relayed) }
        let notified = try admitted(passports, 0, gate.port)
        defer { close(notified) }
        let user = passports.users[0]

        let strain =
            try storm > 0 ? Strain(session.startStorm(on: gate, connections: returning, rate: storm), gate) : nil
        defer { strain?.stop() }
        var times = Times()
        progress("latency: \(session.samples) samples of each, \(idle) idle connections, storm: \(storm)/s")
        for sample in 0..<session.samples {
            let event = #"{"v":1,"type":"notify","select":{"user":"\#(user)"},"data":\#(sample)}"#
            times.record(\.bare, try time(redis, Self.bareChannel, event, bare))
            times.record(\.floor, try time(redis, Self.floorChannel, event, relayed, 0x81))
            times.record(\.notify, try time(redis, Keys().events, event, notified, 0x81))
            let doomed = try admitted(passports, sample + 1, gate.port)
            let revocation = #"{"v":1,"type":"revoke","select":{"user":"\#(passports.users[sample + 1])"}}"#
            times.record(\.revoke, try time(redis, Keys().events, revocation, doomed, 0x88))
            close(doomed)
            if sample % 500 == 499 { progress("latency: \(sample + 1) of \(session.samples)") }
        }
        guard let strain else { return times.rows(title: "latency", slowest: 2000) }
        return times.rows(title: "latency in a storm", slowest: 20_000, try strain.words())
    }

    /// A connection that blocks, with its handshake behind it.
    private func admitted(_ passports: Passports, _ index: Int, _ port: UInt16) throws -> Int32 {
        let descriptor = try Sockets.connect(to: port)
        try passports.withRequest(index) { try Sockets.send(descriptor, $0) }
        var limit = timeval(tv_sec: 5, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        _ = try read(descriptor, UInt8(ascii: "H"))
        return descriptor
    }

    private func time(
        _ redis: RedisSocket,
        _ channel: String,
        _ event: String,
        _ descriptor: Int32,
        _ first: UInt8? = nil
    ) throws -> UInt64 {
        let command = RedisSocket.encode(["PUBLISH", channel, event])
        // Apart, and not in step with anything that happens every millisecond; what a revocation is followed by is over by then.
        usleep(UInt32.random(in: 1000...2000))
        let began = Machine.now()
        try redis.write(command)
        let ended = try read(descriptor, first)
        try redis.skipAnswer()
        return ended - began
    }

    /// Waits for bytes.
    /// - Parameter first: what the first of them must be.
    /// - Returns: when they were there.
    private func read(_ descriptor: Int32, _ first: UInt8?) throws -> UInt64 {
        var buffer = (UInt64(0), UInt64(0), UInt64(0), UInt64(0), UInt64(0), UInt64(0), UInt64(0), UInt64(0))
        var got: UInt8 = 0
        let count = withUnsafeMutableBytes(of: &buffer) {
            let count = recv(descriptor, $0.baseAddress, $0.count, 0)
            got = $0[0]
            return count
        }
        let ended = Machine.now()
        guard count > 0 else { throw BenchFailure("wait for a frame", errno: count == 0 ? EPIPE : errno) }
        if let first, got != first { throw BenchFailure("Another frame came: \(got) instead of \(first).") }
        // The rest of an answer or a message that was longer.
        var more = count
        while more > 0 {
            more = withUnsafeMutableBytes(of: &buffer) {
                recv(descriptor, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT))
            }
        }
        return ended
    }

    /// What was measured, in ns.
    private struct Times {
        var bare = Self.empty
        var floor = Self.empty
        var notify = Self.empty
        var revoke = Self.empty

        /// Samples of a kind follow each other so, in ns, where nothing is late: four kinds, each after a pause.
        private static let interval: UInt64 = 10_000_000

        /// What takes longer than the interval also keeps those waiting that would have begun meanwhile (coordinated omission).
        mutating func record(_ kind: WritableKeyPath<Times, Histogram<UInt32>>, _ time: UInt64) {
            self[keyPath: kind].recordCorrectedValue(time, expectedInterval: Self.interval)
        }

        private static var empty: Histogram<UInt32> {
            Histogram(highestTrackableValue: 60_000_000_000)
        }

        /// - Parameters:
        ///   - slowest: what is asked of the 99th percentile, in µs.
        ///   - words: what else was going on; nil: nothing, and then a ratio is asked of the median.
        func rows(title: String, slowest: Double, _ words: String? = nil) -> [Row] {
            [("pushed frame", notify), ("close frame", revoke)].flatMap { what, times in
                [50.0, 99.0].map { percentile in
                    let value = { (times: Histogram<UInt32>) in Double(times.valueAtPercentile(percentile)) / 1000 }
                    let isMedian = percentile == 50
                    let relay = "floor: a bare subscriber; a floor that relays takes \(Report.digits(value(floor), 1))"
                    return Row(
                        scenario: title,
                        what: "publish → \(what), p\(Int(percentile))",
                        unit: "µs",
                        floor: value(bare),
                        gate: value(times),
                        // Of the slowest there is a limit, not a ratio: what disturbs one in a hundred is not the gate's doing alone.
                        ratio: isMedian ? Ratio(value(times) / value(bare)) : nil,
                        target: isMedian ? (words == nil ? 1.5 : nil) : slowest,
                        note: words.map { "\(relay); \($0)" } ?? relay
                    )
                }
            }
        }
    }

    /// What a storm and the gate in it use.
    private struct Strain {
        private let storm: Child
        private let gate: Child
        private let began = Machine.now()
        private let before: (storm: UInt64, gate: UInt64)
        private let countBefore: Int

        init(_ storm: Child, _ gate: Child) throws {
            (self.storm, self.gate) = (storm, gate)
            countBefore = try Self.count(storm)
            before = (storm: try storm.processorTime(), gate: try gate.processorTime())
        }

        func words() throws -> String {
            let elapsed = Double(Machine.now() - began)
            let used = (storm: try storm.processorTime() - before.storm, gate: try gate.processorTime() - before.gate)
            let rate = Double(try Self.count(storm) - countBefore) / Double(Machine.now() - began) * 1e9
            let share = { (used: UInt64) in Report.digits(Double(used) / elapsed * 100, 0) }
            return "\(Report.digits(rate, 0)) handshakes/s, core shares: gate \(share(used.gate)) %, "
                + "storm's client \(share(used.storm)) %"
        }

        /// While the gate still stands, which it would miss.
        func stop() {
            storm.stop()
        }

        private static func count(_ storm: Child) throws -> Int {
            storm.tell(UInt8(ascii: "?"))
            guard let count = Int(try storm.readLine()) else { throw BenchFailure("The storm has ended too early.") }
            return count
        }
    }
}

/// `portcullis-bench latency`
struct LatencyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "latency",
        abstract: "From a command to Redis to the frame that follows from it."
    )

    @OptionGroup var options: ScenarioOptions

    @Option(help: "A reconnect storm meanwhile, of so many handshakes in a second; 0: none.")
    var storm = 0

    func run() throws {
        let session = try Session(options)
        try session.show(LatencyScenario(session: session, storm: max(0, storm)).run())
    }
}
