public import PortcullisCrypto

/// The signature algorithms of tokens (RFC 7518, section 3.1; RFC 8037, section 3.1). There is none that signs nothing.
public enum Algorithm: String, CaseIterable, Sendable {
    case hs256 = "HS256"
    case hs384 = "HS384"
    case hs512 = "HS512"
    case rs256 = "RS256"
    case rs384 = "RS384"
    case rs512 = "RS512"
    case ps256 = "PS256"
    case ps384 = "PS384"
    case ps512 = "PS512"
    case es256 = "ES256"
    case es384 = "ES384"
    case es512 = "ES512"
    case eddsa = "EdDSA"

    /// The bytes of every name, as a number: a look-up takes no memory.
    private static let names: [(name: UInt64, algorithm: Algorithm)] = allCases.map { algorithm in
        (algorithm.rawValue.utf8.reduce(0) { $0 << 8 | UInt64($1) }, algorithm)
    }

    /// The algorithm of that exact name.
    init?(name: Span<UInt8>) {
        // As long as all of them are.
        guard name.count == 5 else { return nil }
        var bytes: UInt64 = 0
        for at in name.indices { bytes = bytes << 8 | UInt64(name[at]) }
        let names = Self.names
        for index in names.indices where names[index].name == bytes {
            self = names[index].algorithm
            return
        }
        return nil
    }

    /// The hash function of an HMAC algorithm; nil of the others.
    public var hmac: HashFunction? {
        switch self {
        case .hs256: .sha256
        case .hs384: .sha384
        case .hs512: .sha512
        default: nil
        }
    }

    /// How a key pair signs; nil of HMAC algorithms.
    public var scheme: SignatureScheme? {
        switch self {
        case .hs256, .hs384, .hs512: nil
        case .rs256: .pkcs1(.sha256)
        case .rs384: .pkcs1(.sha384)
        case .rs512: .pkcs1(.sha512)
        case .ps256: .pss(.sha256)
        case .ps384: .pss(.sha384)
        case .ps512: .pss(.sha512)
        case .es256: .ecdsa(.p256)
        case .es384: .ecdsa(.p384)
        case .es512: .ecdsa(.p521)
        case .eddsa: .ed25519
        }
    }

    /// What a key pair is used with where nothing else is said.
    public static func standard(for kind: KeyKind) -> Algorithm {
        switch kind {
        case .rsa: .rs256
        case .elliptic(.p256): .es256
        case .elliptic(.p384): .es384
        case .elliptic(.p521): .es512
        case .ed25519: .eddsa
        }
    }

    /// The kind of key pair that a new key of the algorithm is; nil of HMAC algorithms.
    var newKey: KeyKind? {
        switch scheme {
        case .pkcs1, .pss: .rsa(bits: 2048)
        case .ecdsa(let curve): .elliptic(curve)
        case .ed25519: .ed25519
        case nil: nil
        }
    }
}
