import CLinux
import Glibc

extension SettingsRules {
    /// An address, or a network with the length of its prefix (CIDR).
    static func isNetwork(_ text: String) -> Bool {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = parts.first, let bits = bits(ofAddress: String(address)) else { return false }
        guard parts.count == 2 else { return true }
        guard parts[1].utf8.count <= 3, parts[1].allSatisfy({ $0.isASCII && $0.isNumber }), let length = Int(parts[1])
        else {
            return false
        }
        return length <= bits
    }

    private static func bits(ofAddress text: String) -> Int? {
        var v4 = in_addr()
        if inet_pton(AF_INET, text, &v4) == 1 { return 32 }
        var v6 = in6_addr()
        return inet_pton(AF_INET6, text, &v6) == 1 ? 128 : nil
    }
}
