#version 300 es
// One stage of an explicit Runge-Kutta method: a weighted sum of earlier stages, plus the right-hand
// side at the latest one, multiplied by a fraction of dt.
precision highp float;
precision highp int;
precision highp sampler2D;
uniform sampler2D state;
uniform sampler2D earlier[4];
uniform vec4 weights;
uniform float duration;
uniform float t;
@PARAMETERS@
out vec4 result;

#define INFINITY uintBitsToFloat(0x7f800000u)
#define UNDEFINED uintBitsToFloat(0x7fc00000u)

int wrap(int i, int n) {
  return (i % n + n) % n;
}

// pow(a, b) of GLSL is undefined for negative a
float power(float a, float b) {
  if (b == 0.0) return 1.0;
  if (a == 0.0) return b > 0.0 ? 0.0 : INFINITY;
  float size = pow(abs(a), b);
  if (a > 0.0) return size;
  if (floor(b) != b) return UNDEFINED;
  return mod(b, 2.0) == 0.0 ? size : -size;
}

float root(float a) {
  return a < 0.0 ? UNDEFINED : sqrt(a);
}

// tanh of GLSL may divide infinity by infinity; beyond 10 it is 1 in float32
float tangent_h(float a) {
  return tanh(clamp(a, -10.0, 10.0));
}

// sin, cos and atan of GLSL may have errors of 5e-4. These have the accuracy of float32: Taylor
// series after a reduction to [-pi/4, pi/4]; pi/2 is the sum of two numbers, the first of 8 bits.
vec2 sine_and_cosine(float a) {
  float n = floor(a * 0.6366197723675814 + 0.5);
  float z = (a - n * 1.5703125) - n * 4.838267948966e-4;
  float q = z * z;
  float s = z * (1.0 - q / 6.0 * (1.0 - q / 20.0 * (1.0 - q / 42.0 * (1.0 - q / 72.0))));
  float c = 1.0 - q / 2.0 * (1.0 - q / 12.0 * (1.0 - q / 30.0 * (1.0 - q / 56.0 * (1.0 - q / 90.0))));
  int quarter = int(mod(n, 4.0));
  vec2 turned = quarter % 2 == 0 ? vec2(s, c) : vec2(c, -s);
  return quarter < 2 ? turned : -turned;
}

float sine(float a) {
  return sine_and_cosine(a).x;
}

float cosine(float a) {
  return sine_and_cosine(a).y;
}

float tangent(float a) {
  vec2 both = sine_and_cosine(a);
  return both.x / both.y;
}

// the angle of the point (x, y), by the Taylor series of atan up to tan(pi/8)
float angle(float y, float x) {
  float high = max(abs(x), abs(y)), low = min(abs(x), abs(y));
  if (high == 0.0) return 0.0;
  bool far = low > 0.41421356 * high;
  float z = far ? (low - high) / (low + high) : low / high;
  float q = z * z, series = 0.0;
  for (int n = 15; n >= 1; n -= 2) series = 1.0 / float(n) - q * series;
  float result = z * series + (far ? 0.7853981633974483 : 0.0);
  if (abs(y) > abs(x)) result = 1.5707963267948966 - result;
  if (x < 0.0) result = 3.141592653589793 - result;
  return y < 0.0 ? -result : result;
}

float arc_tangent(float a) {
  return angle(a, 1.0);
}

float arc_sine(float a) {
  return abs(a) > 1.0 ? UNDEFINED : angle(a, sqrt((1.0 - a) * (1.0 + a)));
}

float arc_cosine(float a) {
  return abs(a) > 1.0 ? UNDEFINED : angle(sqrt((1.0 - a) * (1.0 + a)), a);
}

float modulo(float a, float b) {
  return a - floor(a / b) * b;
}

float heaviside(float a) {
  return 0.5 * (sign(a) + 1.0);
}

// 2 a b / (a + b), and 0 where a and b differ in sign or one of them is 0
float harmonic(float a, float b) {
  return a * b > 0.0 ? 2.0 * a * (b / (a + b)) : 0.0;
}

// the Taylor series near 0; elsewhere Abramowitz and Stegun, 7.1.26, with an error of 1.5e-7
float error_function(float a) {
  float x = abs(a);
  if (x < 1.0) {
    float term = a, total = a;
    for (int n = 1; n < 12; n++) {
      term *= -a * a / float(n);
      total += term / float(2 * n + 1);
    }
    return 1.1283791670955126 * total;
  }
  float s = 1.0 / (1.0 + 0.3275911 * x);
  float series = s * (0.254829592 + s * (-0.284496736 + s * (1.421413741
    + s * (-1.453152027 + s * 1.061405429))));
  return sign(a) * (1.0 - series * exp(-x * x));
}

// the derivative of a given order of sin(pi a) / (pi a)
float sinc(float a, float order) {
  float z = 3.141592653589793 * a;
  float limit = max(1.0, order);
  if (z * z < limit * limit) {
    float total = 0.0, term = 1.0;
    int n = int(order);
    // term is (-1)^k z^(2k - n) / (2k - n)!, from the first k with 2k >= n
    int k = (n + 1) / 2;
    term = (k % 2 == 0 ? 1.0 : -1.0) * (2 * k > n ? z : 1.0);
    for (int m = 0; m < 14; m++) {
      total += term / float(2 * k + 1);
      int low = 2 * k - n;
      term *= -z * z / (float(low + 1) * float(low + 2));
      k++;
    }
    return total * pow(3.141592653589793, order);
  }
  float value = sine(z) / z;
  for (int m = 1; m <= int(order); m++) {
    value = (sine(z + float(m) * 1.5707963267948966) - float(m) * value) / z;
  }
  return value * pow(3.141592653589793, order);
}

@RHS@

void main() {
  ivec2 p = ivec2(gl_FragCoord.xy);
  vec4 total = duration * rhs(p);
  if (weights[0] != 0.0) total += weights[0] * texelFetch(earlier[0], p, 0);
  if (weights[1] != 0.0) total += weights[1] * texelFetch(earlier[1], p, 0);
  if (weights[2] != 0.0) total += weights[2] * texelFetch(earlier[2], p, 0);
  if (weights[3] != 0.0) total += weights[3] * texelFetch(earlier[3], p, 0);
  result = total;
}
