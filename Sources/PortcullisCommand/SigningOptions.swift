import ArgumentParser
import Foundation
import PortcullisControl
import PortcullisCore
import PortcullisTokens
import PortcullisWire

/// The key that signs tokens, for every command that makes some.
struct SigningOptions: ParsableArguments {
    @Option(help: ArgumentHelp("A file whose bytes are the HMAC secret.", valueName: "file")) var secretFile: String?
    @Option(help: ArgumentHelp("A private key, in PEM or as a JWK.", valueName: "file")) var key: String?
    @Option(help: "The key's id, for the header.") var kid: String?

    /// The key of these options, else the secret of the state directory.
    func key(_ common: CommonOptions) throws(KeyError) -> SigningKey {
        let name = kid.map { Identifier($0) }
        if secretFile != nil, key != nil { throw KeyError("Give either --secret-file or --key.") }
        // A secret and an RSA key can sign in several ways: tokens.algorithm says which, as it does for the gate.
        let algorithm = try algorithm(common)
        if let secretFile { return try SigningKey.secretFile(secretFile, algorithm: algorithm, kid: name) }
        if let key { return try SigningKey.keyFile(key, algorithm: algorithm, kid: name) }
        let path: String
        do {
            path = try common.state(try common.settings()).secret
        } catch {
            throw KeyError("\(error)")
        }
        guard FileManager.default.fileExists(atPath: path) else {
            throw KeyError(
                "There is no key: give --secret-file or --key, or start portcullis serve once, which makes a secret."
            )
        }
        return try SigningKey.secretFile(path, kid: name)
    }

    private func algorithm(_ common: CommonOptions) throws(KeyError) -> Algorithm? {
        do {
            return try common.settings().tokens.own.algorithm.flatMap { Algorithm(rawValue: $0.rawValue) }
        } catch {
            throw KeyError("\(error)")
        }
    }

    /// What signs with the key, of a type that the gate accepts.
    func signer(_ common: CommonOptions, _ settings: Settings) throws -> TokenSigner {
        let types = settings.tokens.types
        let type: String? = types.contains(.jwt) ? "JWT" : types.contains(.accessToken) ? "at+jwt" : nil
        do throws(KeyError) {
            return TokenSigner(try key(common), type: type)
        } catch {
            throw CommandFailure.usage(error.description)
        }
    }
}

/// Claims as they are written behind `--claim`.
enum ClaimText {
    /// Names and JSON values, of a name that stands twice the last.
    static func read(_ texts: [String]) throws -> [(name: String, json: [UInt8])] {
        var claims: [(name: String, json: [UInt8])] = []
        var json = StrictJSON()
        for text in texts {
            guard let equals = text.firstIndex(of: "="), equals > text.startIndex else {
                throw CommandFailure.usage("--claim takes name=json, such as --claim 'role=\"admin\"'.")
            }
            let name = String(text[..<equals])
            let value = Array(text[text.index(after: equals)...].utf8)
            guard (try? json.parse(value.span)) != nil else {
                throw CommandFailure.usage(
                    "The value of --claim \(name) is not JSON: a text needs quotes, as in '\(name)=\"text\"'."
                )
            }
            claims.removeAll { $0.name == name }
            claims.append((name, value))
        }
        return claims
    }
}
