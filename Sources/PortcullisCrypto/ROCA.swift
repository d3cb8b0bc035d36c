/// The fingerprint of RSA keys made by certain smart cards and TPMs (ROCA, CVE-2017-15361): their primes are of a form that lets
/// anybody compute the private half. Nemec et al., "The Return of Coppersmith's Attack", ACM CCS 2017, section 3.
enum ROCA {
    /// Such a modulus is a power of 65537 modulo every one of these; any other is so once in 2^28.
    private static let primes: [UInt32] = [
        3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109,
        113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
    ]

    /// - Parameter modulus: big-endian.
    static func fits(_ modulus: [UInt8]) -> Bool {
        primes.allSatisfy { prime in
            let rest = modulus.reduce(UInt32(0)) { ($0 << 8 | UInt32($1)) % prime }
            var power: UInt32 = 1
            for _ in 0..<prime {
                if power == rest { return true }
                power = power * 65537 % prime
            }
            return false
        }
    }
}

extension PublicKey {
    /// Whether the private half can be computed from this one: an RSA key with the fingerprint of ROCA (CVE-2017-15361).
    public var isFactorable: Bool {
        guard case .rsa = kind, let modulus = try? handle.number("n") else { return false }
        return ROCA.fits(modulus)
    }
}
