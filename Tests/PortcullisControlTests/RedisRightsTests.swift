import Foundation
import PortcullisCore
import PortcullisGate
import PortcullisRedis
import PortcullisTokens
import TestKit
import Testing

@testable import PortcullisControl

/// A user of Redis that lacks a right which a gate needs is refused at the start, with a sentence that names it.
@Suite(.serialized) struct RedisRightsTests {
    private static func gateLine() throws -> [String] {
        let readme = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../README.md")
        let lines = try String(contentsOf: readme, encoding: .utf8).split(separator: "\n")
        let line = try #require(lines.first { $0.hasPrefix("ACL SETUSER portcullis-gate ") })
        return line.split(separator: " ").map(String.init)
    }

    /// What is said to a user with these rules.
    private func complaint(_ redis: RedisServer, _ rules: [String]) throws -> String? {
        try #require(try BlockingConnection(redis.url).ask(Command(rules.map { Array($0.utf8) })).errorText == nil)
        var url = redis.url
        url.user = "portcullis-gate"
        url.password = "GATE-PASSWORD"
        let settings = try Settings.load(flags: [
            "sessions.touch": "true", "tokens.mode": "hybrid", "tokens.shared_keys": "true", "redis.wait_replicas": "1",
            "resources.presence": "true", "limits.connections_per_user": "5",
        ])
        let tokens = try TokenPolicy(issuers: [])
        let configuration = try GateAssembly.configuration(settings, redis: url, tokens: tokens, version: "test")
        do {
            try RedisPlace.awaitAnswer(url)
            try RedisPlace.checkRights(url, configuration)
            return nil
        } catch {
            return "\(error)"
        }
    }

    @Test func eachRightIsMissed() throws {
        let redis = try RedisServer()
        let line = try Self.gateLine()
        #expect(try complaint(redis, line) == nil)
        // Nothing was changed by trying.
        #expect(try redis.ask("DBSIZE") == .integer(0))
        // Another database and the role are asked for by some URLs alone; `CONFIG GET` is only warned about.
        let spared: Set<String> = ["+select", "+role", "+config|get"]
        for right in line where "+~&".contains(right.prefix(1)) && !spared.contains(right) {
            let said = try complaint(redis, line.filter { $0 != right })
            let sentence = try #require(said, "\(right) is not missed")
            #expect(sentence.hasSuffix(".") && sentence.contains("ACL"), "\(right): \(sentence)")
            #expect(!sentence.contains("GATE-PASSWORD"))
            guard right.hasPrefix("+"), right != "+ping" else { continue }
            let command = right.dropFirst().replacing("|", with: " ").uppercased()
            // The first command with that key or channel is named; here it is the command itself.
            #expect(sentence.contains(command), "\(right): \(sentence)")
        }
    }

    @Test func anUnrestrictedUserHasAll() throws {
        let redis = try RedisServer()
        try #require(
            try complaint(redis, ["ACL", "SETUSER", "portcullis-gate", "on", ">GATE-PASSWORD", "~*", "&*", "+@all"])
                == nil
        )
    }

    /// `serve` ends with 3, and one sentence.
    @Test func serveSaysIt() throws {
        let program = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
            .appending(path: "portcullis").path
        let port = try FreePort.take()
        let redis = try RedisServer(["--port", "\(port)"])
        let rules = try Self.gateLine().filter { $0 != "+xadd" }
        _ = try BlockingConnection(redis.url).ask(Command(rules.map { Array($0.utf8) }))
        let folder = redis.directory.path
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, folder + "/said", O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        let words = [
            program, "serve", "--listen", "unix:\(folder)/gate.sock", "--admin", "unix:\(folder)/admin.sock",
            "--state-dir", folder + "/state", "--redis", "redis://portcullis-gate:GATE-PASSWORD@127.0.0.1:\(port)",
        ]
        let arguments = words.map { strdup($0) } + [nil]
        defer { for text in arguments { free(text) } }
        var pid: pid_t = 0
        try #require(posix_spawn(&pid, program, &actions, nil, arguments, environ) == 0)
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        let said = String(decoding: FileManager.default.contents(atPath: folder + "/said") ?? Data(), as: UTF8.self)
        #expect(status == 3 << 8, "\(said)")
        #expect(said.contains("XADD") && said.contains("ACL SETUSER"), "\(said)")
        #expect(!said.contains("GATE-PASSWORD"), "\(said)")
    }
}
