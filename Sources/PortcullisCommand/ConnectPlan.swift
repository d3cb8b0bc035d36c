import Foundation
import PortcullisClient
import Synchronization

/// What the command line and the environment ask for, checked.
struct ConnectPlan: Sendable {
    /// What is wrong with the command line, in one sentence.
    struct Mistake: Error {
        let sentence: String
    }

    let url: GateURL
    let credential: GateCredential
    let subprotocol: Subprotocol
    let trustedRoots: String?
    let isJSON: Bool
    let exitsOnEnd: Bool
    let reconnects: Bool
    /// Gives a token that differs from the last; only a file can hold one.
    let freshCredentials: GateSession.Credentials?

    init(_ command: Connect, environment: [String: String]) throws(Mistake) {
        do throws(GateFailure) {
            let url = try GateURL(command.url)
            self.url = if let resource = command.resource { try url.bound(to: resource) } else { url }
        } catch {
            throw Mistake(sentence: error.detail)
        }
        guard [command.token, command.tokenFile, command.session, command.ticket].count(where: { $0 != nil }) <= 1
        else {
            throw Mistake(sentence: "Only one of --token, --token-file, --session and --ticket can be given.")
        }
        let credential: GateCredential =
            if let token = command.token {
                command.tokenBy.credential(Secret(token))
            } else if let file = command.tokenFile {
                command.tokenBy.credential(try Self.token(in: file))
            } else if let id = command.session {
                .session(id: Secret(id), cookieName: command.sessionCookie)
            } else if let ticket = command.ticket {
                .ticket(Secret(ticket))
            } else if let token = environment["PORTCULLIS_TOKEN"], !token.isEmpty {
                command.tokenBy.credential(Secret(token))
            } else {
                .none
            }
        self.credential = credential
        freshCredentials = command.tokenFile.map {
            Self.freshCredentials(in: $0, by: command.tokenBy, after: credential)
        }
        trustedRoots = command.ca
        subprotocol = command.raw ? .raw : .v1
        isJSON = command.json
        exitsOnEnd = command.exitOnEof
        reconnects = !command.noReconnect
    }

    private static func freshCredentials(
        in file: String,
        by place: Connect.TokenPlace,
        after first: GateCredential
    ) -> GateSession.Credentials {
        let last = LastCredential(first)
        return { _ in
            guard let token = try? token(in: file) else { return nil }
            return last.replace(by: place.credential(token))
        }
    }

    /// The credential that was used last, to see whether the file holds another.
    private final class LastCredential: Sendable {
        private let value: Mutex<GateCredential>

        init(_ credential: GateCredential) {
            value = Mutex(credential)
        }

        /// Nil where it is the same.
        func replace(by credential: GateCredential) -> GateCredential? {
            value.withLock { value in
                guard value != credential else { return nil }
                value = credential
                return credential
            }
        }
    }

    private static func token(in file: String) throws(Mistake) -> Secret {
        guard let handle = FileHandle(forReadingAtPath: file) else {
            throw Mistake(sentence: "The token file cannot be read: \(file)")
        }
        defer { try? handle.close() }
        // Far above any token: whatever this file is, it is not read to its end.
        let data = (try? handle.read(upToCount: 64 << 10)) ?? Data()
        let token = String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
        guard !token.isEmpty else { throw Mistake(sentence: "There is no token in the file: \(file)") }
        return Secret(token)
    }
}
