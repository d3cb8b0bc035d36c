import Foundation
import PortcullisCore
import PortcullisCrypto
import PortcullisGate
import PortcullisRedis
import PortcullisTokens
import PortcullisWire
import Testing

@testable import PortcullisControl

/// What the data plane is told out of the settings about credentials.
@Suite struct GateAssemblyTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    private func configuration(_ flags: [String: String]) throws -> GateConfiguration {
        let settings = try Settings.load(flags: flags)
        try UnsupportedSettings.check(settings)
        let tokens = try TokenPolicy(issuers: [])
        let redis = RedisURL(place: .path("/nowhere"))
        return try GateAssembly.configuration(settings, redis: redis, tokens: tokens, version: "test")
    }

    private func file(_ name: String, _ text: String, mode: Int = 0o600) throws -> String {
        let path = "\(folder.path)/\(name)"
        try Data(text.utf8).write(to: URL(filePath: path))
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
        return path
    }

    private func complaint(_ flags: [String: String]) -> String {
        do {
            _ = try configuration(flags)
            return ""
        } catch {
            return "\(error)"
        }
    }

    @Test func sessions() throws {
        let secret = try file("secret", "keyboard cat\n")
        let gate = try configuration([
            "sessions.cookie_secret_file": secret, "sessions.cookie": "connect.sid", "sessions.key": "sess:{id}",
            "sessions.bind": "ip, device", "sessions.touch": "true", "sessions.sweep": "7s",
            "resources.step_up": "billing:*=15m", "tokens.mode": "hybrid", "tokens.shared_keys": "true",
            "tokens.sources": "header, first_message", "resources.presence": "true",
        ])
        let sessions = try #require(gate.sessions)
        let key = try #require(sessions.cookieKey)
        // The newline is not part of the secret.
        let code = HMACContext(key).sign(Array("a".utf8).span)
        let same = HMACContext(HMACKey(SecretBytes(Array("keyboard cat".utf8).span), hash: .sha256))
        let isSame = same.isValid(code.span, of: Array("a".utf8).span)
        #expect(isSame)
        #expect(sessions.bind == [.address, .device])
        #expect(sessions.touches && sessions.sweep == .seconds(7))
        #expect(gate.credentials.signsSessions && gate.credentials.tokens == [.header, .firstMessage])
        #expect(gate.stepUp.marks("billing:7") && !gate.stepUp.marks("doc:7"))
        #expect(gate.asksActiveTokens && gate.asksSharedKeys)
        #expect(gate.presence)
        let plain = try configuration([:])
        #expect(plain.sessions?.cookieKey == nil && plain.sessions?.bind.isEmpty == true)
        #expect(!plain.credentials.signsSessions && !plain.asksActiveTokens && !plain.asksSharedKeys)
        #expect(!plain.stepUp.marks("billing:7") && !plain.presence)
    }

    @Test func aCookieSecretThatCannotBeUsedIsOneSentence() throws {
        #expect(complaint(["sessions.cookie_secret_file": "/nowhere/secret"]).contains("There is no file"))
        let open = try file("open", "keyboard cat", mode: 0o644)
        #expect(complaint(["sessions.cookie_secret_file": open]).contains("chmod 600"))
        let empty = try file("empty", "\n")
        #expect(complaint(["sessions.cookie_secret_file": empty]).contains("is empty"))
        let secret = try file("secret", "keyboard cat")
        var settings = Settings()
        settings.sessions.cookieSecretFile = secret
        settings.sessions.cookieSecret = Secret("keyboard cat")
        let both = #expect(throws: StartupError.self) { try CookieSecret.key(settings.sessions) }
        #expect(both?.description.contains("keep one of them") == true)
        #expect(both?.description.contains("keyboard") == false)
    }

    @Test func aWeakCookieSecretIsToldOf() throws {
        var settings = Settings()
        #expect(try CookieSecret.weakness(settings.sessions) == nil)
        settings.sessions.cookieSecret = Secret("a secret that is not very long")
        #expect(try CookieSecret.weakness(settings.sessions)?.contains("shorter than 32 bytes") == true)
        settings.sessions.cookieSecret = Secret("a secret that is quite a bit longer than that one is")
        #expect(try CookieSecret.weakness(settings.sessions) == nil)
    }
}
