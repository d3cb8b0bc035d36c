import ArgumentParser
import Foundation
import PortcullisTokens

struct KeysCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys",
        abstract: "Make keys.",
        subcommands: [KeysGenerate.self]
    )
}

struct KeysGenerate: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate",
        abstract: "Write a new key: a private PEM and a public JWKS, or a secret for HS256, HS384 and HS512."
    )

    @Option(help: "HS256, RS256, PS256, ES256, EdDSA, and so on.") var alg: String
    @Option(help: ArgumentHelp("The folder to write to.", valueName: "dir")) var out: String

    func run() throws {
        guard let algorithm = Algorithm(rawValue: alg) else {
            let names = Algorithm.allCases.map(\.rawValue).joined(separator: ", ")
            throw CommandFailure.usage("--alg takes one of \(names).")
        }
        do {
            try FileManager.default.createDirectory(atPath: out, withIntermediateDirectories: true)
            if alg.hasPrefix("HS") {
                try write(try KeyGenerator.secret() + [0x0A], "secret", mode: 0o600)
            } else {
                let pair = try KeyGenerator.pair(algorithm)
                try write(pair.privatePEM, "private.pem", mode: 0o600)
                try write(pair.publicJWKS, "public.jwks.json", mode: 0o644)
                CommandOutput.write("kid \(pair.kid)\n", to: 2)
            }
        } catch let error as KeyError {
            throw CommandFailure.usage(error.description)
        } catch let error as CocoaError {
            throw CommandFailure.usage("\(out) can't be written to: \(error.localizedDescription)")
        }
    }

    /// Never over a file that is there: it may be the only copy of a key in use.
    private func write(_ bytes: [UInt8], _ name: String, mode: mode_t) throws {
        let path = out + "/" + name
        let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
        guard file >= 0 else {
            throw CommandFailure.usage(
                "\(path) can't be made (\(String(cString: strerror(errno)))): move it away or choose another --out."
            )
        }
        try FileHandle(fileDescriptor: file, closeOnDealloc: true).write(contentsOf: Data(bytes))
        CommandOutput.line(path)
    }
}
