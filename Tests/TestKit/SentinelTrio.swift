import Foundation
public import PortcullisRedis

/// A primary, its replica and sentinels that watch them, on ports of 127.0.0.1.
public final class SentinelTrio: Sendable {
    public static let name = "the-primary"

    /// The one that begins as the primary.
    public let first: RedisServer
    /// The one that begins as its replica.
    public let second: RedisServer
    private let ports: [UInt16]
    private let sentinels: [ServerProcess]
    private let sentinelPorts: [UInt16]
    private let folder: URL

    /// - Parameters:
    ///   - count: how many sentinels; most of them must agree to a failover.
    ///   - password: of both and of the sentinels; nil: none.
    public init(sentinels count: Int = 1, password: String? = nil) throws {
        // A full synchronisation waits five seconds for further replicas by default.
        let login =
            ["--repl-diskless-sync-delay", "0"]
            + (password.map { ["--requirepass", $0, "--masterauth", $0] } ?? [])
        ports = try [FreePort.take(), FreePort.take()]
        first = try RedisServer(["--port", String(ports[0]), "--bind", "127.0.0.1"] + login)
        second = try RedisServer(
            ["--port", String(ports[1]), "--bind", "127.0.0.1", "--replicaof", "127.0.0.1", String(ports[0])] + login
        )
        folder = FileManager.default.temporaryDirectory.appending(path: "pc-st-\(UInt32.random(in: 0 ... .max))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        sentinelPorts = try (0..<count).map { _ in try FreePort.take() }
        let (primary, folder) = (ports[0], folder)
        sentinels = try sentinelPorts.map { port in
            var lines = [
                "port \(port)", "bind 127.0.0.1", "dir \(folder.path)",
                "sentinel monitor \(Self.name) 127.0.0.1 \(primary) \(count / 2 + 1)",
                "sentinel down-after-milliseconds \(Self.name) 1000",
                "sentinel failover-timeout \(Self.name) 10000",
            ]
            if let password {
                lines += ["requirepass \(password)", "sentinel sentinel-pass \(password)"]
                lines.append("sentinel auth-pass \(Self.name) \(password)")
            }
            let file = folder.appending(path: "\(port).conf")
            try (lines.joined(separator: "\n") + "\n").write(to: file, atomically: true, encoding: .utf8)
            return try ServerProcess(["redis-server", file.path, "--sentinel"], log: "\(folder.path)/\(port).log")
        }
        var url = RedisURL(
            place: .sentinels(sentinelPorts.map { RedisAddress(host: "127.0.0.1", port: $0) }, name: Self.name)
        )
        url.password = password
        self.url = url
        try settle(count)
    }

    deinit {
        for sentinel in sentinels { sentinel.stop() }
        try? FileManager.default.removeItem(at: folder)
    }

    /// The sentinels and the primary's name.
    public let url: RedisURL

    /// Asks one sentinel.
    @discardableResult
    public func ask(sentinel: Int = 0, _ words: String...) throws -> RESPValue {
        try ask(sentinel, words)
    }

    private func ask(_ sentinel: Int, _ words: [String]) throws -> RESPValue {
        var place = url
        place.place = .host("127.0.0.1", port: sentinelPorts[sentinel])
        return try BlockingConnection(place, timeout: 2000).ask(Command(words.map { Array($0.utf8) }))
    }

    /// Waits until every sentinel knows the replica and the others, so that a failover can begin.
    private func settle(_ count: Int) throws {
        for sentinel in 0..<count {
            try wait("sentinel \(sentinel) knows the replica and \(count - 1) others") {
                let fields = try ask(sentinel, ["SENTINEL", "MASTER", Self.name]).array?.compactMap(\.text) ?? []
                func number(_ name: String) -> Int? {
                    fields.firstIndex(of: name).flatMap { Int(fields[$0 + 1]) }
                }
                return number("num-slaves") == 1 && number("num-other-sentinels") == count - 1
            }
        }
        // A replica that is not in step yet is not promoted.
        try wait("the replica is in step") {
            let role = try BlockingConnection(second.url(password: url.password)).ask(Command("ROLE"))
            return role.array?.dropFirst(3).first?.text == "connected"
        }
    }

    public func wait(_ what: String, _ condition: () throws -> Bool) throws {
        var last = ""
        for _ in 0..<3000 {
            do {
                if try condition() { return }
            } catch {
                last = "\(error)"
            }
            Thread.sleep(forTimeInterval: 0.01)
        }
        throw RedisServer.Failure(description: "waited in vain: \(what). \(last)")
    }

    /// Has the sentinels make the other one the primary, and waits until all of them say so.
    public func failOver() throws {
        let before = try primaryPort(0)
        try wait("the failover begins") { try ask(sentinel: 0, "SENTINEL", "FAILOVER", Self.name).errorText == nil }
        for sentinel in sentinelPorts.indices {
            try wait("sentinel \(sentinel) names another") { try primaryPort(sentinel) != before }
        }
    }

    private func primaryPort(_ sentinel: Int) throws -> UInt16? {
        guard case .primary(let address) = SentinelAnswer(try ask(sentinel, SentinelAnswer.words(Self.name))) else {
            return nil
        }
        return address.port
    }

    /// Ends a sentinel.
    public func stop(sentinel: Int) {
        sentinels[sentinel].stop()
    }
}

extension SentinelAnswer {
    fileprivate static func words(_ name: String) -> [String] {
        question(name).words.map { String(decoding: $0, as: UTF8.self) }
    }
}

extension RedisServer {
    /// Its URL with a password.
    func url(password: String?) -> RedisURL {
        var url = url
        url.password = password
        return url
    }
}
