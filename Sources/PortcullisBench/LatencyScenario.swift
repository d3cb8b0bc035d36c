import ArgumentParser
import Glibc
import Histogram
import PortcullisRedis

/// How long it takes from the write of a command to Redis until a client reads what follows from it, for one connection among many
/// idle ones. Against a bare subscriber, which reads the message itself, and against a floor that passes it on.
struct LatencyScenario {
    let session: Session

    private static let bareChannel = "bench:bare"
    private static let floorChannel = "bench:floor"

    func run() throws -> [Row] {
        let floor = try session.startFloor(relaying: Self.floorChannel)
        let gate = try session.startGate()
        let client = try session.client()
        _ = try client.open(try session.passports(session.connections), to: gate.port, window: session.window)
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

        var times = Times()
        progress("latency: \(session.samples) samples of each, \(session.connections) idle connections")
        for sample in 0..<session.samples {
            let event = #"{"v":1,"type":"notify","select":{"user":"\#(user)"},"data":\#(sample)}"#
            times.bare.record(try time(redis, Self.bareChannel, event, bare))
            times.floor.record(try time(redis, Self.floorChannel, event, relayed, 0x81))
            times.notify.record(try time(redis, Keys().events, event, notified, 0x81))
            let doomed = try admitted(passports, sample + 1, gate.port)
            let revocation = #"{"v":1,"type":"revoke","select":{"user":"\#(passports.users[sample + 1])"}}"#
            times.revoke.record(try time(redis, Keys().events, revocation, doomed, 0x88))
            close(doomed)
            if sample % 500 == 499 { progress("latency: \(sample + 1) of \(session.samples)") }
        }
        return times.rows
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

        private static var empty: Histogram<UInt32> {
            Histogram(highestTrackableValue: 60_000_000_000)
        }

        var rows: [Row] {
            rows("pushed frame", notify) + rows("close frame", revoke)
        }

        private func rows(_ what: String, _ times: Histogram<UInt32>) -> [Row] {
            [50.0, 99.0].map { percentile in
                let value = { (times: Histogram<UInt32>) in Double(times.valueAtPercentile(percentile)) / 1000 }
                let isMedian = percentile == 50
                let relay = "floor: a bare subscriber; a floor that relays takes \(Report.digits(value(floor), 1))"
                return Row(
                    scenario: "latency",
                    what: "publish → \(what), p\(Int(percentile))",
                    unit: "µs",
                    floor: value(bare),
                    gate: value(times),
                    // Of the slowest there is a limit, not a ratio: what disturbs one in a hundred is not the gate's doing alone.
                    ratio: isMedian ? Ratio(value(times) / value(bare)) : nil,
                    target: isMedian ? 1.5 : 2000,
                    note: relay
                )
            }
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

    func run() throws {
        try Report(rows: LatencyScenario(session: Session(options)).run()).print(json: options.json)
    }
}
