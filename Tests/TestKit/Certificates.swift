public import Foundation
public import PortcullisReactor

/// Certificates of a test's own, made by `openssl` in a folder that goes with it: an authority, a stranger to it, and servers of both.
public final class Certificates: Sendable {
    /// The servers that there are.
    public enum Server: String, Sendable {
        /// For `redis.test` and 127.0.0.1.
        case good
        /// Of the same authority, for `elsewhere.test`.
        case elsewhere
        /// For the right names, until yesterday.
        case expired
        /// For the right names, of an authority that nobody knows.
        case stranger
    }

    public struct Failure: Error, CustomStringConvertible {
        public let description: String
    }

    public let folder: URL

    public init() throws {
        folder = FileManager.default.temporaryDirectory.appending(path: "pc-tls-\(UInt32.random(in: 0 ... .max))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        // Not by Foundation's Process: a gate or a Redis that another test starts at this moment inherits what tells it of the child's end, and
        // it would wait for the end of those too.
        let script = folder.appending(path: "make.sh").path
        try Data(Self.script.utf8).write(to: URL(filePath: script))
        let made = try Shell.run("cd \(folder.path) && exec bash -e \(script) </dev/null")
        guard made.code == 0 else {
            let log = try? String(contentsOf: folder.appending(path: "log"), encoding: .utf8)
            throw Failure(description: "openssl made no certificates: \(log ?? "")")
        }
    }

    deinit {
        try? FileManager.default.removeItem(at: folder)
    }

    private static let script = """
        exec >log 2>&1
        new() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "$@"; }
        for authority in authority unknown; do
          new -x509 -keyout $authority.key -out $authority.pem -days 2 -subj /CN=$authority
        done
        server() {
          new -keyout $1.key -out $1.csr -subj /CN=$1
          printf 'basicConstraints=CA:FALSE\\nsubjectAltName=%s\\n' "$4" >$1.ext
          openssl x509 -req -in $1.csr -CA $2.pem -CAkey $2.key -CAcreateserial -days $3 -extfile $1.ext -out $1.pem
        }
        server good authority 2 DNS:redis.test,IP:127.0.0.1
        server elsewhere authority 2 DNS:elsewhere.test
        server expired authority -1 DNS:redis.test,IP:127.0.0.1
        server stranger unknown 2 DNS:redis.test,IP:127.0.0.1
        """

    /// The authority's certificate.
    public var authority: String {
        folder.appending(path: "authority.pem").path
    }

    public func certificate(_ server: Server) -> String {
        folder.appending(path: "\(server.rawValue).pem").path
    }

    public func key(_ server: Server) -> String {
        folder.appending(path: "\(server.rawValue).key").path
    }

    /// Trusts the authority and wants this name.
    public func client(_ name: String = "redis.test") throws -> TLSClient {
        TLSClient(try TLSContext(authorities: authority), name: name)
    }

    public func server(_ server: Server = .good, minimum: TLSVersion = .v12) throws -> TLSContext {
        try TLSContext(certificate: certificate(server), key: key(server), minimum: minimum)
    }
}
