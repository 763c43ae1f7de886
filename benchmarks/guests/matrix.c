// matrix ROUNDS: multiplies matrices of doubles whose product is known: (A B)[i][j] = n (i + 1) (j + 1) for A[i][k] = i + 1, B[k][j] = j + 1.
#include <stdio.h>
#include <stdlib.h>

enum { N = 200 };
static double a[N][N], b[N][N], c[N][N];

int main(int argc, char **argv) {
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) a[i][j] = i + 1, b[i][j] = j + 1;
    double trace = 0;
    for (int round = argc > 1 ? atoi(argv[1]) : 1; round > 0; round--) {
        trace = 0;
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++) {
                double sum = 0;
                for (int k = 0; k < N; k++) sum += a[i][k] * b[k][j];
                c[i][j] = sum;
            }
        for (int i = 0; i < N; i++) trace += c[i][i];
    }
    printf("%.0f\n", trace);  // n times the sum of the squares to n
    return 0;
}
