import Testing

@testable import PortcullisControl

/// What a running gate takes of a configuration that was read again.
@Suite struct SettingsReloadTests {
    @Test func takesWhatCanChange() throws {
        let running = try Settings.load(yaml: "limits: {message: 1KiB}", flags: ["listen": "127.0.0.1:1"])
        let new = try Settings.load(
            yaml: """
                limits: {message: 2KiB, heartbeat: 1s, connections: 7}
                origins: [https://a.example]
                log: {level: debug, format: json}
                tokens: {leeway: 1s, longest_life: 1h, secret_file: x, cache: 5}
                tls: {certificates: {a: {certificate: c, key: k}}}
                redis: {url: redis://127.0.0.1:1}
                guarantee: {lease: 2s}
                """,
            flags: ["listen": "127.0.0.1:2", "node": "b"]
        )
        let taken = running.taking(new)
        #expect(
            taken.differences(from: running) == [
                "limits.connections", "limits.heartbeat", "limits.message", "log.level", "origins", "tokens.cache",
                "tokens.leeway", "tokens.secret_file",
            ]
        )
        #expect(
            taken.differences(from: new) == [
                "guarantee.lease", "listen", "log.format", "node", "redis.url", "tls.certificates.a.certificate",
                "tls.certificates.a.key", "tokens.longest_life",
            ]
        )
        #expect(taken.taking(new) == taken)
    }

    @Test func certificatesChangeWhereThereIsTLS() throws {
        func settings(_ names: [String], _ minimum: String = "1.2") throws -> Settings {
            let entries = names.map { "\($0): {certificate: c, key: k}" }.joined(separator: ", ")
            return try Settings.load(yaml: "tls: {minimum: \"\(minimum)\", certificates: {\(entries)}}")
        }
        let taken = try settings(["a"]).taking(settings(["b"], "1.3"))
        #expect(taken.differences(from: try settings(["b"], "1.3")).isEmpty)
        // A listener does not cease to speak TLS.
        #expect(try settings(["a"]).taking(settings([])).tls.certificates.count == 1)
    }

    /// What is shown of a secret is always the same.
    @Test func secretsDifferWithoutBeingShown() throws {
        let (one, other) = (
            try Settings.load(yaml: "redis: {url: 'redis://u:a@h:1'}"),
            try Settings.load(yaml: "redis: {url: 'redis://u:b@h:1'}")
        )
        #expect(one.differences(from: other) == ["redis.url"])
    }
}
