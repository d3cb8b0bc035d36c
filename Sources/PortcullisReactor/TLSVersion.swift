import COpenSSL

/// A version of TLS (RFC 5246, RFC 8446); older ones are not spoken.
public enum TLSVersion: Sendable {
    case v12
    case v13

    var number: Int32 {
        switch self {
        case .v12: TLS1_2_VERSION
        case .v13: TLS1_3_VERSION
        }
    }
}
