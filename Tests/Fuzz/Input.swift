/// The bytes that libFuzzer lends for the length of a call, as an array: reads beyond it trap.
func input(_ data: UnsafePointer<UInt8>?, _ size: Int) -> [UInt8] {
    Array(UnsafeBufferPointer(start: data, count: size))
}
