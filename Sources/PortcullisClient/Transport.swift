internal import NIOConcurrencyHelpers
internal import NIOCore
internal import NIOSSL

/// TLS for `wss://`: always verified, by the system's roots or by those of a file.
enum Transport {
    /// Reading the system's roots takes a while; they are read once.
    private static let system = NIOLockedValueBox<NIOSSLContext?>(nil)

    /// The handler that encrypts; nil for `ws://`.
    static func context(for url: GateURL, trustedRoots: String?) throws(GateFailure) -> NIOSSLContext? {
        guard url.isSecure else { return nil }
        if trustedRoots == nil, let context = system.withLockedValue({ $0 }) { return context }
        do {
            var configuration = TLSConfiguration.makeClientConfiguration()
            configuration.minimumTLSVersion = .tlsv12
            // What else could come of it: HTTP/2, where there is no upgrade like ours.
            configuration.applicationProtocols = ["http/1.1"]
            if let trustedRoots { configuration.trustRoots = .file(trustedRoots) }
            let context = try NIOSSLContext(configuration: configuration)
            if trustedRoots == nil { system.withLockedValue { $0 = context } }
            return context
        } catch {
            throw GateFailure(.insecure, "The trusted roots for TLS cannot be read: \(trustedRoots ?? "the system's").")
        }
    }

    static func handler(_ context: NIOSSLContext, host: String) throws -> NIOSSLClientHandler {
        // Server names are no addresses (RFC 6066, section 3): for an address the certificate must name it.
        let isAddress = (try? SocketAddress(ipAddress: host, port: 0)) != nil
        return try NIOSSLClientHandler(context: context, serverHostname: isAddress ? nil : host)
    }

    /// OpenSSL's words name lines of its code: here are those that people meet.
    private static func sentence(_ error: any Error) -> String {
        let words = "\(error)"
        return switch true {
        case words.contains("CERTIFICATE_VERIFY_FAILED"):
            "The gate's certificate is not trusted: it has expired, or no trusted authority signed it."
        case words.contains("failedToValidateHostname") || words.contains("unableToValidateCertificate"):
            "The gate's certificate is for another name than the URL's."
        case words.contains("WRONG_VERSION_NUMBER"):
            "What answered speaks no TLS: connect by ws://, or to another port."
        default: "No secure connection could be made: the TLS handshake failed."
        }
    }

    /// What an error of TLS means; nil for any other.
    static func failure(_ error: any Error) -> GateFailure? {
        switch error {
        case NIOSSLError.uncleanShutdown:
            GateFailure(.unreachable, "The connection was cut without the end that TLS has.")
        case is NIOSSLError, is BoringSSLError, is NIOSSLExtraError:
            GateFailure(.insecure, sentence(error))
        default:
            nil
        }
    }
}
