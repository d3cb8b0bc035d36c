import Foundation
import PortcullisCore
import PortcullisReactor
import PortcullisTokens
import TestKit
import Testing

/// The program that people run, as the package manager built it beside the tests.
private let program = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
    .appending(path: "portcullis").path

/// Handshakes with every kind of credential, good and bad, at a real gate that logs all it can: no nine characters of any of them appear
/// in anything that the gate or a command says.
@Suite(.enabled(if: FileManager.default.isExecutableFile(atPath: program)))
struct SecrecyTests {
    private struct Vain: Error {
        let description: String
    }

    /// What was presented, and what was said.
    private final class Record {
        var secrets: Set<String> = []
        var said: [(what: String, text: String)] = []

        /// Every nine bytes in a row, as a number, and where they begin.
        private func windows(_ text: String) -> [(at: Int, bytes: UInt128)] {
            var windows: [(at: Int, bytes: UInt128)] = []
            var held: UInt128 = 0
            for (at, byte) in text.utf8.enumerated() {
                held = (held << 8 | UInt128(byte)) & (1 << 72 - 1)
                if at >= 8 { windows.append((at - 8, held)) }
            }
            return windows
        }

        func leaks() -> [String] {
            var parts: Set<UInt128> = []
            for secret in secrets { parts.formUnion(windows(secret).map(\.bytes)) }
            return said.compactMap { what, text in
                guard let first = windows(text).first(where: { parts.contains($0.bytes) }) else { return nil }
                return
                    "\(what): \(String(decoding: Array(text.utf8).dropFirst(max(0, first.at - 60)).prefix(140), as: UTF8.self))"
            }
        }
    }

    /// Starts the program with what it says in a file. Not by Foundation's Process, whose one thread for all children waits for as long as
    /// the redis-server of a test runs.
    private func start(_ words: [String], output: String) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        let environment = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("PORTCULLIS_") }
        let texts = [([program] + words).map { strdup($0) } + [nil], environment.map { strdup("\($0)=\($1)") } + [nil]]
        defer { for text in texts.joined() { free(text) } }
        var pid: pid_t = 0
        let result = posix_spawn(&pid, program, &actions, nil, texts[0], texts[1])
        guard result == 0 else { throw Vain(description: "posix_spawn: \(result)") }
        return pid
    }

    private func wait(_ pid: pid_t) {
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
    }

    private func read(_ path: String) -> String {
        String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
    }

    @Test func noCredentialIsEverShown() throws {
        let redis = try RedisServer()
        let folder = redis.directory.path
        let secret = try KeyGenerator.secret()
        let key = folder + "/secret"
        try Data(secret).write(to: URL(filePath: key))
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: key)
        let config = folder + "/portcullis.yaml"
        try Data(
            """
            listen: 127.0.0.1:0
            admin: 127.0.0.1:0
            state_dir: \(folder)/state
            redis: {url: "unix://\(redis.socket)"}
            tokens: {secret_file: "\(key)", sources: [header, subprotocol, ticket, cookie, query], cookie: jwt}
            log: {level: trace}
            """.utf8
        ).write(to: URL(filePath: config))
        let record = Record()
        record.secrets.insert(String(decoding: secret, as: UTF8.self))
        let log = folder + "/gate.log"
        let gate = try start(["serve", "--config", config], output: log)
        do {
            // Not SIGTERM: this process may have it blocked, and a child inherits that. The log is not buffered.
            defer {
                kill(gate, SIGKILL)
                wait(gate)
            }
            let address = try address(log)
            try knock(Endpoint.tcp(address: "127.0.0.1", port: address), redis, secret, record)
            try commands(config, address, folder, secret, record)
        }
        record.said.append(("the gate's log", read(log)))
        // The test is one of something: the log tells of each of them, and at its finest level.
        let lines = read(log).split(separator: "\n").count { $0.contains("refused") }
        #expect(lines > 15)
        #expect(read(log).contains("admitted"))
        #expect(record.said.count > 40)
        let leaks = record.leaks()
        #expect(leaks.isEmpty, "\(leaks.joined(separator: "\n"))")
        // And it would have found something.
        record.said.append(("a slip", "token=" + (record.secrets.first ?? "").suffix(12)))
        #expect(record.leaks().count == 1)
    }

    private func address(_ log: String) throws -> UInt16 {
        for _ in 0..<2000 {
            let text = read(log)
            if text.contains("admitting connections"),
                let found = text.firstMatch(of: /listening.*?address="?127\.0\.0\.1:(\d+)/)
            {
                return try #require(UInt16(found.1))
            }
            Thread.sleep(forTimeInterval: 0.01)
        }
        throw Vain(description: "the gate did not start: \(read(log))")
    }

    // MARK: - Handshakes

    private func token(_ secret: [UInt8], life: Int64 = 600) throws -> String {
        let now = WallTime(milliseconds: Int64(Date().timeIntervalSince1970 * 1000))
        let token = try TokenSigner(SigningKey(secret: secret.span)).sign([
            ("sub", Array(#""alice""#.utf8)), ("iat", TokenSigner.json(now + .seconds(-900))),
            ("exp", TokenSigner.json(now + .seconds(life))),
            ("jti", Array("\"\(UInt64.random(in: 0 ... .max))\"".utf8)),
        ])
        return String(decoding: token, as: UTF8.self)
    }

    /// Letters that nothing else says.
    private func random(_ count: Int) -> String {
        String((0..<count).map { _ in "abcdefghijklmnopqrstuvwxyz0123456789".randomElement() ?? "a" })
    }

    private func tokens(_ secret: [UInt8]) throws -> [String] {
        let good = try token(secret)
        let parts = good.split(separator: ".").map(String.init)
        let none = String(decoding: Base64URL.encode(Array(#"{"alg":"none"}"#.utf8)), as: UTF8.self)
        let crit = String(decoding: Base64URL.encode(Array(#"{"alg":"HS256","crit":["exp"]}"#.utf8)), as: UTF8.self)
        return [
            good, try token(secret, life: -60), try token(KeyGenerator.secret()), "\(parts[0]).\(parts[1])",
            "\(none).\(parts[1]).", "\(crit).\(parts[1]).\(parts[2])", "\(parts[0]).\(parts[1]).\(parts[2])==",
            random(40), random(9000), good + good,
        ]
    }

    private func knock(_ endpoint: Endpoint, _ redis: RedisServer, _ secret: [UInt8], _ record: Record) throws {
        let origin = "Origin: http://\(endpoint)"
        let version = "Sec-WebSocket-Protocol: portcullis.v1"
        func knock(_ what: String, _ secrets: [String], path: String = "/ws", _ headers: [String]) throws {
            record.secrets.formUnion(secrets)
            // An oversized head may be answered by an end alone.
            guard let peer = try? WebSocketPeer(endpoint, path: path, headers: headers) else { return }
            record.said.append((what, peer.head + "\n" + peer.body))
            guard peer.status == 101 else { return }
            try? peer.send(text: "not JSON")
            try? peer.send(text: #"{"type":"refresh","token":"\#(secrets[0].prefix(4000))"}"#)
            try? peer.close(code: 1000)
            while let frame = try? peer.receive(), frame != .end {
                // What its own page is told of a session is the contract of `welcome`.
                if case .text(let text) = frame, text.contains(#""type":"welcome""#), text.contains(#""session""#) {
                    continue
                }
                record.said.append((what + ", a frame", "\(frame)"))
            }
        }
        for (index, token) in try tokens(secret).enumerated() {
            let cookie = "Cookie: jwt=\(token)"
            try knock("header \(index)", [token], ["Authorization: Bearer \(token)"])
            try knock("header \(index), v1", [token], ["Authorization: Bearer \(token)", version, origin])
            let encoded = String(decoding: Base64URL.encode(Array(token.utf8)), as: UTF8.self)
            let entry = "base64url.bearer.portcullis." + encoded
            try knock("subprotocol \(index)", [token, encoded], ["\(version), \(entry)"])
            try knock("subprotocol \(index), a browser", [token, encoded], ["\(version), \(entry)", origin])
            try knock("query \(index)", [token], path: "/ws?access_token=\(token)", [])
            try knock("cookie \(index)", [token], [cookie, origin])
            try knock("cookie \(index), v1", [token], [cookie, origin, version])
            try knock("cookie \(index), a foreign site", [token], [cookie, "Origin: https://evil.example"])
            try knock(
                "ambiguous \(index)",
                [token, encoded],
                ["Authorization: Bearer \(token)", "\(version), \(entry)"]
            )
            try knock("twice \(index)", [token], ["Authorization: Bearer \(token)", "Authorization: Bearer \(token)"])
            try knock("elsewhere \(index)", [token], path: "/nowhere/\(token)?access_token=\(token)", [])
            try knock("a resource \(index)", [token], path: "/ws/doc?access_token=\(token)", [version, origin])
            try knock("a body \(index)", [token], ["Authorization: Bearer \(token)", "Content-Length: 5"])
            try knock("basic \(index)", [token], ["Authorization: Basic \(token)"])
        }
        let sessions = [random(32), random(32), "s:\(random(24)).\(random(43))", random(600)]
        try redis.ask("SET", "session:\(sessions[0])", #"{"user_id":"alice"}"#, "EX", "60")
        try redis.ask("SET", "session:\(sessions[1])", "no JSON at all", "EX", "60")
        for session in sessions + [random(32)] {
            let cookie = "Cookie: session_id=\(session)"
            try knock("session", [session], [cookie, origin])
            try knock("session, v1", [session], [cookie, origin, version])
            try knock("session, a foreign site", [session], [cookie, "Origin: https://evil.example"])
            try knock("session, no origin", [session], [cookie])
            try knock("session, twice", [session], [cookie, "Cookie: session_id=\(session)", origin])
        }
        for ticket in [random(48), random(1000)] {
            try knock("ticket", [ticket], path: "/ws?ticket=\(ticket)", [])
            try knock("ticket, v1", [ticket], path: "/ws?ticket=\(ticket)", [version, origin])
            try knock("ticket, twice", [ticket], path: "/ws?ticket=\(ticket)&ticket=\(ticket)", [])
        }
    }

    // MARK: - Commands

    private func commands(
        _ config: String,
        _ port: UInt16,
        _ folder: String,
        _ secret: [UInt8],
        _ record: Record
    ) throws {
        func run(_ words: [String]) throws {
            let output = folder + "/command"
            wait(try start(words + (words[0] == "connect" ? [] : ["--config", config]), output: output))
            record.said.append((words.prefix(2).joined(separator: " "), read(output)))
        }
        let url = "ws://127.0.0.1:\(port)/ws"
        for token in try tokens(secret) {
            record.secrets.insert(token)
            try run(["token", "verify", token])
            try run(["token", "verify", "--json", token])
        }
        let bad = try tokens(secret)[2]
        record.secrets.insert(bad)
        try run(["connect", url, "--token", bad])
        for secret in [random(43), random(43)] {
            record.secrets.insert(secret)
            try run(["token", "refresh", secret, "--secret-file", folder + "/secret"])
            try run(["connect", url, "--token", secret])
            try run(["connect", url, "--session", secret])
            try run(["connect", url, "--ticket", secret])
            try run(["session", "show", secret])
            try run(["session", "end", secret])
        }
    }
}
